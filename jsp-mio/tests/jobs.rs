//! Public-key work that the program runs where and when it likes.

mod common;

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, bind, client, exchange, key, trust, until};
use jsp_mio::mio::{Events, Poll, Token, Waker};
use jsp_mio::proto::Event as On;
use jsp_mio::{Budget, Config, Endpoint, Event, Job, KemJobs};

fn handing_out() -> Endpoint {
    bind(Config::builder().server_key(key()).kem_jobs(KemJobs::HandedOut))
}

/// So many turns of both; whether anybody is connected after them.
fn turns(count: usize, client: &mut Endpoint, server: &mut Endpoint) -> bool {
    let mut connected = false;
    for _ in 0..count {
        for endpoint in [&mut *client, &mut *server] {
            let mut turn = endpoint.turn(Budget::UNLIMITED);
            while let Some(event) = endpoint.next(&mut turn).expect("a socket that works") {
                connected |= matches!(event, Event::Connection(_, On::Connected));
            }
        }
    }
    connected
}

/// Turns of both until the server has work to hand out.
fn next_job(client: &mut Endpoint, server: &mut Endpoint) -> Job {
    let start = Instant::now();
    loop {
        assert!(!turns(1, client, server), "connected without the work");
        if let Some(job) = server.take_job() {
            return job;
        }
        assert!(start.elapsed() < PATIENCE, "no job");
    }
}

#[test]
fn no_handshake_gets_on_before_its_jobs_are_brought_back() {
    let (mut client, mut server) = (client(), handing_out());
    let id = client.connect(server.local_address(), &trust()).expect("a server to connect to");
    // Opening the client's message is one job, answering it another.
    for _ in 0..2 {
        let job = next_job(&mut client, &mut server);
        assert!(!turns(100, &mut client, &mut server), "connected while the job was away");
        let done = job.run();
        assert!(!turns(100, &mut client, &mut server), "connected before the job was brought back");
        assert!(server.take_job().is_none(), "a job is handed out once");
        server.job_done(done);
        assert_eq!(server.timeout(), Some(Duration::ZERO), "that is work");
    }
    let mut connected = [false; 2];
    until("connecting", &mut [&mut client, &mut server], |end, _, event| {
        connected[end] |= matches!(event, Event::Connection(_, On::Connected));
        if connected == [true; 2] { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    exchange(&mut client, id, &mut server, b"as ever");
}

/// A loop that sleeps in its poll, and a worker that wakes it with each result.
#[test]
fn jobs_run_on_another_thread() {
    const SERVER: Token = Token(0);
    const WORKER: Token = Token(1);
    const CLIENTS: usize = 8;
    let mut server = handing_out();
    let address = server.local_address();
    let mut poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), WORKER).expect("a waker");
    server.register(poll.registry(), SERVER).expect("a free token");
    let (jobs, work) = mpsc::channel::<Job>();
    let (results, done) = mpsc::channel();
    let worker = thread::spawn(move || {
        for job in work {
            results.send(job.run()).expect("somebody waits");
            waker.wake().expect("a poll that is there");
        }
    });
    let players = thread::spawn(move || {
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
        for client in &mut clients {
            client.connect(address, &trust()).expect("a server to connect to");
        }
        let (mut ends, mut connected) = (clients.iter_mut().collect::<Vec<_>>(), 0);
        until("connecting", &mut ends, |_, _, event| {
            connected += usize::from(matches!(event, Event::Connection(_, On::Connected)));
            if connected == CLIENTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // The server hears of it by what `run` would have sent.
        ends.iter_mut().for_each(|client| client.flush().expect("a socket that works"));
        clients
    });
    let (mut ready, mut connected, mut handed_out) = (Events::with_capacity(16), 0, 0);
    let start = Instant::now();
    while connected < CLIENTS {
        let timeout = server.timeout().unwrap_or(PATIENCE).min(PATIENCE);
        poll.poll(&mut ready, Some(timeout)).expect("a poll that works");
        ready.iter().filter(|event| event.token() == SERVER).for_each(|event| server.on_ready(event));
        done.try_iter().for_each(|done| server.job_done(done));
        let mut turn = server.turn(Budget::UNLIMITED);
        while let Some(event) = server.next(&mut turn).expect("a socket that works") {
            connected += usize::from(matches!(event, Event::Connection(_, On::Connected)));
        }
        while let Some(job) = server.take_job() {
            handed_out += 1;
            jobs.send(job).expect("the worker is there");
        }
        assert!(start.elapsed() < PATIENCE, "{connected} of {CLIENTS} connected");
    }
    assert!(handed_out >= 2 * CLIENTS, "{handed_out} jobs for {CLIENTS} clients");
    assert_eq!(server.connections(), CLIENTS);
    drop(jobs);
    worker.join().expect("no panic");
    players.join().expect("no panic");
}
