//! A game in one thread at 60 frames a second: a server that sends every player a snapshot of 20 kB per frame, worth
//! nothing once the next one is there, and a chat that must not lose a word. Each endpoint gets a fixed part of the
//! frame; the handshakes' public-key work runs in what the frame leaves over.
//!
//! A snapshot is 18 datagrams and none is sent again: at 2 % loss 0.98^18, or 70 %, of the snapshots can arrive. That
//! takes a budget in which more than one snapshot fits, so that a turn catches up with what the one before left.
//!
//! Run: `cargo run --release -p jsp-mio --example game_loop -- --loss 2`. The same seed loses the same datagrams.
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use jsp_mio::proto::{Event as On, RecvMessage};
use jsp_mio::{
    AppCode, Budget, ClientConfig, Config, ConnId, Delivery, Endpoint, Event, KemJobs, Loss, MessageOptions, SecretKey,
    StreamId, StreamOptions,
};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
const SNAPSHOT: usize = 20_000;
/// A line of chat every so many frames.
const CHAT_EVERY: u64 = 10;
/// Frames until buffers have grown to their size.
const WARM_UP: u64 = 120;

#[derive(Parser)]
#[command(about = "A game server and its players in one thread: snapshots, chat, losses on purpose")]
struct Args {
    /// How long to play.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    /// Each is an endpoint of its own.
    players: u16,
    /// Percent of the datagrams that are lost, in both directions.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Which datagrams are lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Microseconds of a frame that each endpoint may use.
    #[arg(long, default_value_t = 500)]
    budget: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let frames = (args.seconds * 60).max(WARM_UP + 1);
    let mut game = Game::new(&args)?;
    let (mut allocations, mut late, mut longest) = (0, 0u32, Duration::ZERO);
    let mut next = Instant::now();
    for frame in 0..frames {
        let mut played = Ok(());
        let counted = allocation_counter::measure(|| played = game.frame(frame));
        played?;
        if frame >= WARM_UP {
            allocations += counted.count_total;
            longest = longest.max(game.longest);
        }
        next += FRAME;
        late += u32::from(Instant::now() > next);
        game.public_key_work();
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let lines: Vec<u64> = game.server.guests.iter().map(|guest| guest.lines).collect();
    game.leave()?;
    assert!(game.players.iter().all(|player| lines.contains(&player.lines)), "a line of the chat is missing");

    println!(
        "{frames} frames, {late} of them late; {} players, {} % loss, seed {}",
        args.players, args.loss, args.seed
    );
    for (number, player) in game.players.iter().enumerate() {
        let seen = player.snapshots as f64 * 100.0 / (frames - WARM_UP) as f64;
        println!("player {number}: {seen:.1} % of the snapshots, all {} lines of the chat, in order", player.lines);
    }
    let tick = frames - WARM_UP;
    println!("longest turn after the warm-up: {longest:?} of {} us", args.budget);
    println!("allocations in {tick} frames after the warm-up: {allocations}");
    println!("threads: {}", threads().map_or("unknown on this system".to_owned(), |threads| threads.to_string()));
    Ok(())
}

/// All there is: the server and every player, each with a socket of its own.
struct Game {
    server: Server,
    players: Vec<Player>,
    budget: Budget,
    /// The longest turn of the last frame.
    longest: Duration,
}

impl Game {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let per_mille = (args.loss * 10.0).round();
        if !(0.0..=1000.0).contains(&per_mille) {
            return Err("--loss is a number of percent from 0 to 100".into());
        }
        let loss = |seed| (per_mille > 0.0).then(|| Loss::per_mille(per_mille as u16, seed));
        let key = SecretKey::from_seed(jsp_mio::random_seed()?);
        let trust = ClientConfig::pinned(key.public().clone());
        let config = Config::builder().server_key(key).kem_jobs(KemJobs::HandedOut).build()?;
        let mut endpoint = Endpoint::bind("127.0.0.1:0".parse()?, config)?;
        endpoint.set_loss(loss(args.seed));
        let address = endpoint.local_address();
        let mut players = Vec::new();
        for number in 1..=u64::from(args.players) {
            let mut endpoint = Endpoint::bind("127.0.0.1:0".parse()?, Config::default())?;
            endpoint.set_loss(loss(args.seed + number));
            endpoint.connect(address, &trust)?;
            players.push(Player { endpoint, message: Vec::new(), snapshots: 0, last: 0, lines: 0 });
        }
        let server = Server { endpoint, guests: Vec::new(), snapshot: vec![0; SNAPSHOT] };
        let budget = Budget::time(Duration::from_micros(args.budget));
        Ok(Self { server, players, budget, longest: Duration::ZERO })
    }

    fn frame(&mut self, frame: u64) -> Result<(), Box<dyn Error>> {
        self.server.play(frame)?;
        self.longest = self.server.network(self.budget)?;
        for player in &mut self.players {
            self.longest = self.longest.max(player.network(self.budget)?);
        }
        Ok(())
    }

    /// What a frame has time for at its end; one piece takes about 0.2 ms.
    fn public_key_work(&mut self) {
        if let Some(job) = self.server.endpoint.take_job() {
            self.server.endpoint.job_done(job.run());
        }
    }

    /// Delivers the rest of the chat and takes leave.
    fn leave(&mut self) -> Result<(), Box<dyn Error>> {
        self.server.endpoint.shutdown(AppCode::ZERO);
        let give_up = Instant::now() + Duration::from_secs(10);
        while !self.server.endpoint.is_idle() && Instant::now() < give_up {
            self.server.network(self.budget)?;
            for player in &mut self.players {
                player.network(self.budget)?;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

struct Server {
    endpoint: Endpoint,
    guests: Vec<Guest>,
    snapshot: Vec<u8>,
}

/// A player as the server sees it.
struct Guest {
    id: ConnId,
    snapshots: StreamId,
    chat: StreamId,
    lines: u64,
}

impl Server {
    fn network(&mut self, budget: Budget) -> Result<Duration, Box<dyn Error>> {
        let mut turn = self.endpoint.turn(budget);
        while let Some(event) = self.endpoint.next(&mut turn)? {
            match event {
                Event::Connection(id, On::Connected) => {
                    let Some(mut player) = self.endpoint.conn(id) else { continue };
                    let unreliable = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
                    let snapshots = player.open(unreliable.priority(100))?;
                    let chat = player.open(StreamOptions::ordered_messages().uni().priority(200))?;
                    self.guests.push(Guest { id, snapshots, chat, lines: 0 });
                }
                Event::Connection(id, On::Closed) => self.guests.retain(|guest| guest.id != id),
                _ => {}
            }
        }
        Ok(turn.spent())
    }

    /// The game itself: moves on by a frame and tells everybody.
    fn play(&mut self, frame: u64) -> Result<(), Box<dyn Error>> {
        self.snapshot.fill(frame as u8);
        self.snapshot[..8].copy_from_slice(&frame.to_be_bytes());
        let chats = frame.is_multiple_of(CHAT_EVERY);
        for guest in &mut self.guests {
            let Some(mut player) = self.endpoint.conn(guest.id) else { continue };
            player.send_message(guest.snapshots, &self.snapshot, MessageOptions::new())?;
            if chats {
                let mut line = *b"........ and everybody should read this line";
                line[..8].copy_from_slice(&guest.lines.to_be_bytes());
                player.send_message(guest.chat, &line, MessageOptions::new())?;
                guest.lines += 1;
            }
        }
        Ok(())
    }
}

struct Player {
    endpoint: Endpoint,
    message: Vec<u8>,
    snapshots: u64,
    /// The frame of the newest snapshot.
    last: u64,
    lines: u64,
}

impl Player {
    fn network(&mut self, budget: Budget) -> Result<Duration, Box<dyn Error>> {
        let mut turn = self.endpoint.turn(budget);
        while let Some(event) = self.endpoint.next(&mut turn)? {
            let Event::Connection(id, On::StreamReadable(stream)) = event else { continue };
            while let Some(mut server) = self.endpoint.conn(id)
                && let Ok(RecvMessage::Message(len)) = server.recv_message(stream, &mut self.message)
            {
                let number = u64::from_be_bytes(self.message[..8].try_into()?);
                if len == SNAPSHOT {
                    assert!(self.message[8..].iter().all(|&byte| byte == number as u8), "a snapshot is whole");
                    self.snapshots += u64::from(number >= WARM_UP);
                    // Late ones are of no use any more; a game would skip them.
                    self.last = self.last.max(number);
                } else {
                    assert_eq!(number, self.lines, "chat is in order");
                    self.lines += 1;
                }
            }
        }
        Ok(turn.spent())
    }
}

/// Threads of this process, where the system tells.
fn threads() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
