//! The run as a whole: starts, kills and restarts processes, lets them rest, and looks at what they hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use door::DoorHandle;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::c_half;
use crate::holdings::Holdings;
use crate::message::Kind;
use crate::peer::{MORTAL, PATIENCE, ask};
use crate::process::{self, Process};
use crate::progress::{self, Progress, Strikes};
use crate::random::Random;
use crate::shared::{Number, Phase, Seat, Shared};
use crate::waiting::{self, Stuck};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Calls of all processes together.
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Where every random number comes from; one that was printed makes the same calls again, though not in the same order.
    #[arg(long)]
    seed: Option<u64>,
    /// The folder with `libdoor.a`, for the C half of the processes.
    #[arg(long)]
    library: PathBuf,
}

/// Calls between two strikes at the processes, on average.
const BETWEEN_STRIKES: u32 = 2000;
/// Rests of a run, the first after two parts of the calls, to let every pool of threads grow.
const RESTS: u64 = 9;
/// Seats of the clients' first threads.
const PATIENT_SEATS: [usize; 2] = [0, 8];
const MORTAL_SEATS: [usize; 2] = [16, 20];

/// What a process is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    C,
}

/// All processes of a run.
struct Run<'a> {
    shared: Shared,
    folder: &'a Path,
    c_program: PathBuf,
    seed: u64,
    random: Random,
    /// Those that are never killed.
    servers: Vec<Process>,
    clients: Vec<Process>,
    mortal_server: Option<Process>,
    mortal_clients: [Option<Process>; 2],
    calls: u64,
    strikes: Strikes,
    progress: Progress,
    /// Set by Ctrl-C.
    ended: Arc<AtomicBool>,
    /// What those that are never killed held at the first rest, and at the last.
    held: Option<[Vec<Holdings>; 2]>,
    looked: Instant,
}

/// Makes the calls, and says what came of them.
pub(crate) fn run(options: &Options) -> Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one ends this process at once, and the others with it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&ended))?;
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = options
        .seed
        .unwrap_or_else(|| clock.as_secs() << 20 ^ u64::from(clock.subsec_nanos()));
    println!("soak of doors: {} calls, --seed {seed}", options.calls);
    let folder = tempfile::tempdir()?;
    let c_program = c_half::build(&options.library, folder.path())?;
    process::adopt()?;
    let mut run = Run {
        shared: Shared::make(folder.path())?,
        folder: folder.path(),
        c_program,
        seed,
        random: Random::new(seed, 1),
        servers: Vec::new(),
        clients: Vec::new(),
        mortal_server: None,
        mortal_clients: [None, None],
        calls: options.calls,
        strikes: Strikes::default(),
        progress: Progress::new(),
        ended,
        held: None,
        looked: Instant::now(),
    };
    let soaked = run.start().and_then(|()| run.soak());
    run.report(soaked)
}

impl Run<'_> {
    fn start(&mut self) -> Result<()> {
        for language in [Language::Rust, Language::C] {
            let name = if language == Language::C { "c" } else { "rust" };
            let server = self.server(language, name)?;
            self.servers.push(server);
        }
        self.start_mortals()?;
        for (language, seat) in [Language::Rust, Language::C].into_iter().zip(PATIENT_SEATS) {
            let client = self.client(language, "client", seat, 4)?;
            self.clients.push(client);
        }
        Ok(())
    }

    fn start_mortals(&mut self) -> Result<()> {
        if self.mortal_server.is_none() {
            let language = self.any_language();
            self.mortal_server = Some(self.server(language, MORTAL)?);
        }
        for (at, seat) in MORTAL_SEATS.into_iter().enumerate() {
            if self.mortal_clients[at].is_none() {
                let language = self.any_language();
                self.mortal_clients[at] = Some(self.client(language, "mortal client", seat, 2)?);
            }
        }
        Ok(())
    }

    fn any_language(&mut self) -> Language {
        if self.random.one_in(2) {
            Language::C
        } else {
            Language::Rust
        }
    }

    fn process(&self, language: Language, name: &str, arguments: &[&str]) -> Result<Process> {
        let own = std::env::current_exe()?;
        let (program, language) = match language {
            Language::Rust => (&own, "Rust"),
            Language::C => (&self.c_program, "C"),
        };
        Process::start(program, &format!("{name} ({language})"), arguments)
    }

    fn server(&self, language: Language, name: &str) -> Result<Process> {
        let path = self.folder.join(name).display().to_string();
        let mut server = self.process(language, &format!("server {name}"), &["server", &path])?;
        // It may be read from a disk that others keep busy.
        server.ready(3 * PATIENCE)?;
        Ok(server)
    }

    fn client(&mut self, language: Language, name: &str, seat: usize, threads: u32) -> Result<Process> {
        let numbers = [self.random.next(), seat as u64, threads.into()].map(|number| number.to_string());
        let folder = self.folder.display().to_string();
        let [seed, seat, threads] = numbers.each_ref().map(String::as_str);
        self.process(language, name, &["client", &folder, seed, seat, threads])
    }

    /// All calls, with the rests in between.
    fn soak(&mut self) -> Result<()> {
        let part = (self.calls / (RESTS + 1)).max(1);
        for rest in 1..=RESTS {
            let goal = if rest == RESTS {
                self.calls
            } else {
                part * (rest + 1)
            };
            self.call(goal)?;
            self.rest(rest)?;
            if self.ended.load(Ordering::Relaxed) {
                break;
            }
            self.shared.set_phase(Phase::Calling);
        }
        self.shared.set_phase(Phase::End);
        let clients = self.clients.drain(..);
        clients
            .chain(self.mortal_clients.iter_mut().filter_map(Option::take))
            .chain(self.mortal_server.take())
            .chain(self.servers.drain(..))
            .try_for_each(|process| process.end(PATIENCE))?;
        let answered = self.shared.get(Number::Answered);
        ensure!(
            answered * 10 >= self.shared.get(Number::Calls) * 8,
            "too few calls were answered"
        );
        Ok(())
    }

    /// Lets calls be made until there are `goal` of them, and strikes meanwhile.
    fn call(&mut self, goal: u64) -> Result<()> {
        let mut next = 0;
        let (mut last, mut last_at) = (0, Instant::now());
        while self.shared.get(Number::Calls) < goal && !self.ended.load(Ordering::Relaxed) {
            let done = self.shared.get(Number::Calls);
            if done >= next {
                if next > 0 {
                    self.strike()?;
                }
                next = done + u64::from(self.random.below(2 * BETWEEN_STRIKES)) + 1;
            }
            if done != last {
                (last, last_at) = (done, Instant::now());
            }
            if last_at.elapsed() > PATIENCE {
                bail!(Stuck(format!("no call was made for {} s", PATIENCE.as_secs())));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// Does something to one of the processes.
    fn strike(&mut self) -> Result<()> {
        match self.random.below(8) {
            0 => {
                let time = Duration::from_millis(self.random.below(20).into());
                let number = self.random.below(7) as usize;
                let chosen = self.processes().nth(number);
                chosen.map_or(Ok(()), |process| process.stop(time))?;
                self.strikes.stops += 1;
            }
            1..4 => {
                if let Some(server) = self.mortal_server.take() {
                    server.kill()?;
                    self.strikes.servers += 1;
                }
            }
            number => self.kill_client(number as usize % 2)?,
        }
        self.start_mortals()
    }

    fn kill_client(&mut self, which: usize) -> Result<()> {
        if let Some(client) = self.mortal_clients[which].take() {
            client.kill()?;
            for seat in (MORTAL_SEATS[which]..).take(4) {
                self.shared.set_seat(seat, Seat::Since, 0);
            }
            self.strikes.clients += 1;
            self.orphans()?;
        }
        Ok(())
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let mortals = self.mortal_clients.iter_mut().flatten();
        let living = self.servers.iter_mut().chain(&mut self.clients);
        living.chain(&mut self.mortal_server).chain(mortals)
    }

    fn pids(&mut self) -> Vec<u32> {
        self.processes().map(|process| process.pid()).collect()
    }

    /// Number of forked children whose parents were killed.
    fn orphans(&mut self) -> Result<usize> {
        let own = self.pids();
        Ok(process::orphans(&own)?.len())
    }

    /// A moment; fails if something is wrong.
    fn tick(&mut self) -> Result<()> {
        std::thread::sleep(Duration::from_millis(1));
        self.processes().try_for_each(Process::go_on)?;
        if self.looked.elapsed() > Duration::from_millis(100) {
            self.looked = Instant::now();
            self.processes().try_for_each(Process::must_live)?;
            let limit = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
            if let Some(lost) = waiting::lost_call(self.shared, limit) {
                bail!(Stuck(format!("a reply was lost: {lost}")));
            }
            self.progress.show(self.shared, self.calls, &self.strikes);
        }
        Ok(())
    }

    /// Ticks until `done`.
    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !done(self)? {
            if Instant::now() > until {
                bail!(Stuck(format!("{what} for {} s", PATIENCE.as_secs())));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// Lets everybody come to rest, and compares what they hold with the first rest.
    fn rest(&mut self, rest: u64) -> Result<()> {
        self.kill_client(0)?;
        self.kill_client(1)?;
        self.shared.set_phase(Phase::Rest(rest));
        self.wait("a forked child has not ended", |run| Ok(run.orphans()? == 0))?;
        self.wait("a client has not come to rest", |run| {
            let resting = |seat: usize| run.shared.seat(seat, Seat::Rest) == rest;
            Ok(PATIENT_SEATS.into_iter().all(resting))
        })?;
        // The last descriptors of those that were killed may be closed a moment later.
        let until = Instant::now() + PATIENCE;
        loop {
            let now = self.look()?;
            let first = self.held.as_ref().map_or(&now, |held| &held[0]).clone();
            let grown = self.compare(&first, &now);
            self.held = Some([first, now]);
            if grown.is_ok() || Instant::now() > until {
                break grown;
            }
            self.tick()?;
        }?;
        self.start_mortals()
    }

    /// What those that are never killed hold.
    fn look(&mut self) -> Result<Vec<Holdings>> {
        let mut all = Vec::new();
        for (server, name) in self.servers.iter().zip(["rust", "c"]) {
            let door = DoorHandle::open(self.folder.join(name))?;
            let [allocated, offspring] = ask(&door, Kind::Allocated, 0)?;
            drop(door);
            all.push(Holdings::of(server.pid(), allocated, offspring)?);
        }
        for (client, seat) in self.clients.iter().zip(PATIENT_SEATS) {
            let allocated = self.shared.seat(seat, Seat::Allocated);
            all.push(Holdings::of(client.pid(), allocated, 0)?);
        }
        Ok(all)
    }

    fn compare(&self, first: &[Holdings], now: &[Holdings]) -> Result<()> {
        let names = self.servers.iter().chain(&self.clients);
        names
            .zip(first.iter().zip(now))
            .try_for_each(|(process, (first, now))| {
                now.no_more_than(first)
                    .with_context(|| format!("{} leaks", process.name))
            })
    }

    /// All processes that are there, and what they wait for.
    fn waiting(&mut self) -> String {
        let own = self.pids();
        let mut all: Vec<_> = self
            .processes()
            .map(|process| (process.pid(), process.name.clone()))
            .collect();
        for orphan in process::orphans(&own).unwrap_or_default() {
            let pid = orphan.as_raw_nonzero().get().unsigned_abs();
            all.push((pid, "forked child of a killed client".to_owned()));
        }
        waiting::describe(self.shared, &all)
    }

    /// Ends what is still there.
    fn kill_all(&mut self) {
        self.mortal_clients = [None, None];
        self.mortal_server = None;
        self.clients.clear();
        self.servers.clear();
        process::kill_orphans();
    }

    /// Says what came of it.
    fn report(mut self, soaked: Result<()>) -> Result<()> {
        self.progress.done();
        let time = self.progress.began.elapsed();
        if soaked.as_ref().is_err_and(|error| error.is::<Stuck>()) {
            eprint!("who waits where:\n{}", self.waiting());
        }
        self.kill_all();
        println!("{}", progress::summary(self.shared, &self.strikes, time));
        if let Some([first, last]) = self.held {
            let names = ["server (Rust)", "server (C)", "client (Rust)", "client (C)"];
            let rows: Vec<_> = names
                .iter()
                .zip(first.into_iter().zip(last))
                .map(|(name, (first, last))| ((*name).to_owned(), first, last))
                .collect();
            print!("{}", progress::table(&rows));
        }
        soaked.with_context(|| format!("FAILED with --seed {}", self.seed))?;
        let early = if self.ended.load(Ordering::Relaxed) {
            " (ended early)"
        } else {
            ""
        };
        println!("passed: no reply lost, doubled or mixed up, nothing left behind{early}");
        Ok(())
    }
}
