//! Threads of sessions: the calling thread, and helpers that take blocks of its batch.
//!
//! A batch of 64 takes about ten microseconds, as long as waking a thread of a pool. So helpers
//! poll for the next batch for a while before they park. Nothing waits for a parked helper, and
//! nothing is allocated.
#![expect(unsafe_code, reason = "helpers outlive the batch that they are lent")]

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Polling time of a helper before it parks.
const LOOK_OUT: Duration = Duration::from_micros(100);

/// Work of each thread, called with its number; the caller is 0.
type Job = &'static (dyn Fn(usize) + Sync);

/// Threads shared by any number of [`Session`](super::Session)s.
///
/// A clone is a handle to the same threads. They start with the first batch that is large enough to
/// share, park when idle, and end when the last handle is dropped. While one session uses them,
/// other sessions compute on their own calling thread only.
///
/// ```
/// use vbd_net::runtime::Threads;
///
/// let threads = Threads::new(4);
/// assert_eq!(threads.count(), 4);
/// assert_eq!(Threads::new(0).count(), 1);
/// ```
#[derive(Clone)]
pub struct Threads {
    owner: Arc<Owner>,
}

/// Ends the helpers when dropped.
struct Owner {
    crew: Arc<Crew>,
    helpers: OnceLock<Mutex<Vec<JoinHandle<()>>>>,
}

/// State shared by helpers and callers.
struct Crew {
    /// Number of threads including the caller's.
    count: usize,
    /// Held by the caller that uses the helpers.
    in_use: Mutex<()>,
    /// Batch that helpers may join.
    job: Mutex<Option<Job>>,
    /// Number of batches so far; incremented once more to end the helpers.
    batches: AtomicU64,
    ends: AtomicBool,
    sleepers: AtomicUsize,
    wake: Condvar,
    /// Number of helpers working on the batch.
    active: AtomicUsize,
    panicked: AtomicBool,
}

/// Maximum number of shared threads, whatever [`VARIABLE`] says.
const MOST: usize = 1024;

/// Environment variable with the number of shared threads of the process.
pub const VARIABLE: &str = "VBD_NUM_THREADS";

fn shared_count() -> usize {
    let asked = std::env::var(VARIABLE).ok();
    let asked = asked.and_then(|count| count.parse::<NonZeroUsize>().ok());
    let available = || thread::available_parallelism().ok();
    asked
        .or_else(available)
        .map_or(1, NonZeroUsize::get)
        .min(MOST)
}

impl Threads {
    /// Creates `count` threads including the caller's, that is `count - 1` helpers. 0 counts as 1.
    pub fn new(count: usize) -> Self {
        let crew = Crew {
            count: count.max(1),
            in_use: Mutex::new(()),
            job: Mutex::new(None),
            batches: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            wake: Condvar::new(),
            active: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        };
        Self {
            owner: Arc::new(Owner {
                crew: Arc::new(crew),
                helpers: OnceLock::new(),
            }),
        }
    }

    /// Returns the default threads of the process. Their number is read from [`VARIABLE`] at the
    /// first call, or else is that of the machine.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Threads> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(shared_count())).clone()
    }

    /// Returns the number of threads including the caller's.
    pub fn count(&self) -> usize {
        self.owner.crew.count
    }

    /// Runs `job` on this thread and on up to `threads - 1` idle helpers.
    pub(super) fn run(&self, threads: usize, job: &(dyn Fn(usize) + Sync)) {
        if threads.min(self.count()) < 2 {
            return job(0);
        }
        self.owner.start();
        let crew = &*self.owner.crew;
        let _in_use = match crew.in_use.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            // The helpers are working for another caller.
            Err(TryLockError::WouldBlock) => return job(0),
        };
        let job_of_some = |helper: usize| {
            if helper < threads {
                job(helper);
            }
        };
        let erased: &(dyn Fn(usize) + Sync) = &job_of_some;
        // SAFETY: no helper has the reference after `PublishedJob` is dropped, which is before `job` ends:
        // dropping withdraws the job, so that no helper joins, and waits for the helpers that have joined.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(erased) };
        // If the caller of an earlier batch panicked too, it did not check the flag.
        crew.panicked.store(false, Ordering::Relaxed);
        let published = PublishedJob(crew);
        *crew.job() = Some(erased);
        crew.wake_helpers();
        job(0);
        drop(published);
        assert!(!crew.panicked.load(Ordering::Relaxed), "a helper panicked");
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Owner {
    /// Starts the helpers at the first call.
    fn start(&self) {
        self.helpers.get_or_init(|| {
            let helpers = (1..self.crew.count).filter_map(|helper| {
                let crew = Arc::clone(&self.crew);
                let named = thread::Builder::new().name(format!("vbd-{helper}"));
                // Without helpers, the caller does all the work.
                named.spawn(move || crew.help(helper)).ok()
            });
            Mutex::new(helpers.collect())
        });
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.crew.ends.store(true, Ordering::SeqCst);
        self.crew.wake_helpers();
        let helpers = self.helpers.take().map(Mutex::into_inner);
        for helper in helpers
            .into_iter()
            .flat_map(|helpers| helpers.unwrap_or_else(PoisonError::into_inner))
        {
            // Helpers catch the panics of their jobs and do not panic themselves.
            drop(helper.join());
        }
    }
}

/// A published job. Dropping it withdraws the job, also on a panic.
struct PublishedJob<'a>(&'a Crew);

impl Drop for PublishedJob<'_> {
    fn drop(&mut self) {
        *self.0.job() = None;
        let mut turns = 0_u32;
        while self.0.active.load(Ordering::Acquire) > 0 {
            // Each helper works on at most one block, but may have been descheduled.
            turns += 1;
            if turns.is_multiple_of(1 << 12) {
                thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

impl Crew {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new batch and wakes the helpers.
    fn wake_helpers(&self) {
        self.batches.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // Locked, so that a helper that is about to park has parked.
            let _job = self.job();
            self.wake.notify_all();
        }
    }

    /// Main loop of a helper.
    fn help(&self, helper: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_batch(seen);
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let joined = {
                let job = self.job();
                if job.is_some() {
                    self.active.fetch_add(1, Ordering::Relaxed);
                }
                *job
            };
            if let Some(job) = joined {
                if catch_unwind(AssertUnwindSafe(|| job(helper))).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
                self.active.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Polls for a batch newer than `seen`, then parks until there is one.
    fn next_batch(&self, seen: u64) -> u64 {
        let start = Instant::now();
        while start.elapsed() < LOOK_OUT {
            for _ in 0..64 {
                let now = self.batches.load(Ordering::SeqCst);
                if now != seen {
                    return now;
                }
                std::hint::spin_loop();
            }
        }
        let mut job = self.job();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        loop {
            let now = self.batches.load(Ordering::SeqCst);
            if now != seen {
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
                return now;
            }
            job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_taken_once_whoever_takes_it() {
        let threads = Threads::new(3);
        for round in 0..2000 {
            let blocks = Mutex::new(0..round % 9);
            let taken = AtomicUsize::new(0);
            threads.run(3, &|_| {
                while let Some(block) = { blocks.lock().unwrap().next() } {
                    taken.fetch_add(1 << (4 * block), Ordering::Relaxed);
                }
            });
            let expected = (0..round % 9).map(|block| 1 << (4 * block)).sum::<usize>();
            assert_eq!(taken.into_inner(), expected);
            if round % 500 == 0 {
                // Long enough to park.
                thread::sleep(LOOK_OUT * 3);
            }
        }
    }

    #[test]
    fn callers_at_the_same_time_do_not_mix() {
        let threads = Threads::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let blocks = Mutex::new(0..7_usize);
                        let sum = AtomicUsize::new(0);
                        threads.run(4, &|_| {
                            while let Some(block) = { blocks.lock().unwrap().next() } {
                                sum.fetch_add(block, Ordering::Relaxed);
                            }
                        });
                        assert_eq!(sum.into_inner(), 21);
                    }
                });
            }
        });
    }

    #[test]
    fn a_helpers_panic_ends_with_its_batch() {
        let threads = Threads::new(2);
        // Until a helper joins: it may not have started yet.
        for _ in 0..1000 {
            let joined = AtomicBool::new(false);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                threads.run(2, &|member| {
                    joined.fetch_or(member > 0, Ordering::SeqCst);
                    let start = Instant::now();
                    while !joined.load(Ordering::SeqCst) && start.elapsed() < LOOK_OUT {
                        std::hint::spin_loop();
                    }
                    panic!("member {member}");
                });
            }));
            assert!(panicked.is_err());
            threads.run(2, &|_| {});
            if joined.into_inner() {
                return;
            }
        }
        panic!("no helper has joined");
    }

    #[test]
    fn a_callers_panic_takes_the_job_back() {
        let threads = Threads::new(2);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            threads.run(2, &|member| assert!(member > 0, "the caller"));
        }));
        assert!(panicked.is_err());
        let ran = AtomicUsize::new(0);
        threads.run(2, &|member| {
            _ = ran.fetch_add(usize::from(member == 0), Ordering::Relaxed);
        });
        assert_eq!(ran.into_inner(), 1);
    }

    #[test]
    fn helpers_start_once_and_end_with_the_last_handle() {
        let threads = Threads::new(3);
        let crew = Arc::downgrade(&threads.owner.crew);
        assert_eq!(crew.strong_count(), 1, "none before the first batch");
        let other = threads.clone();
        for _ in 0..10 {
            threads.run(3, &|_| {});
            other.run(3, &|_| {});
        }
        assert_eq!(crew.strong_count(), 3, "the owner and two helpers");
        drop(threads);
        assert_eq!(crew.strong_count(), 3);
        // Long enough to park.
        thread::sleep(LOOK_OUT * 3);
        drop(other);
        assert_eq!(crew.strong_count(), 0);
    }
}
