//! `jsp ping`: best-effort messages to an echo server.

use std::pin::pin;
use std::time::{Duration, Instant};

use jsp_tokio::{AppCode, Delivery, StreamOptions};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::args::{Ping, Transport};
use crate::failure::{Exit, Failure, Result};
use crate::net;
use crate::stats::Times;
use crate::term::{say, tell};

pub(crate) async fn ping(args: &Ping) -> Result<()> {
    let (_endpoint, connection) = net::connect(&args.target, &args.trust, Transport::default(), net::ECHO).await?;
    tell!("connected to {}", net::describe(&connection));
    let options = StreamOptions::unordered_messages().delivery(Delivery::BestEffort);
    let (mut to, mut from) = connection.open_messages_with(options).await?.split();

    let mut probe = vec![0; args.size as usize];
    let mut sent: Vec<Instant> = Vec::new();
    let mut answered = vec![false; args.count as usize];
    let mut times = Times::default();
    let mut tick = interval(args.interval.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = None;
    let mut interrupted = pin!(net::interrupted());
    while times.len() < args.count as usize {
        let all_sent = sent.len() == args.count as usize;
        let give_up = sent.last().map_or_else(Instant::now, |last| *last + args.timeout);
        tokio::select! {
            _ = tick.tick(), if !all_sent => {
                probe[..8].copy_from_slice(&(sent.len() as u64).to_be_bytes());
                sent.push(Instant::now());
                to.send(&probe).await?;
            }
            echo = from.recv() => {
                let echo = match echo {
                    Ok(Some(echo)) => echo,
                    Ok(None) => break,
                    Err(error) => { ended = Some(Failure::from(error)); break; }
                };
                let number = echo.first_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number)) as usize;
                // Only the first echo of a probe that was sent counts.
                if let (Some(at), Some(answered @ false)) = (sent.get(number), answered.get_mut(number)) {
                    *answered = true;
                    let time = at.elapsed();
                    times.add(time);
                    say!("{} bytes from {}: seq={number} time={}", echo.len(), args.target, ms(time));
                }
            }
            () = sleep_until(give_up.into()), if all_sent => break,
            () = &mut interrupted => break,
        }
    }
    report(sent.len(), &times);
    if let Some(failure) = ended {
        return Err(failure);
    }
    let _ = connection.close(AppCode::ZERO, b"").await;
    if times.len() == 0 {
        return Err(Failure::new("no echo came back").exit(Exit::Unreachable));
    }
    Ok(())
}

fn report(sent: usize, times: &Times) {
    let lost = (sent - times.len()) as f64 * 100.0 / sent.max(1) as f64;
    say!("{sent} sent, {} received, {lost:.0} % lost", times.len());
    if let Some(sum) = times.sum() {
        say!("rtt min/avg/max/mdev = {}", [sum.min, sum.mean, sum.max, sum.deviation].map(ms).join(" / "));
    }
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
