//! Helpers for one batch: threads that take blocks of it beside the one that calls.
//!
//! A batch of 64 takes some ten microseconds, as long as a thread of a pool takes to wake up. So helpers
//! look out for the next batch for a while before they sleep; nobody waits for one that sleeps, and
//! nothing is allocated.
#![expect(unsafe_code, reason = "helpers outlive the batch that they are lent")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How long a helper looks out for the next batch before it sleeps.
const LOOK_OUT: Duration = Duration::from_micros(100);

/// What each member of the crew does, told which of them it is: the caller is 0.
type Job = &'static (dyn Fn(usize) + Sync);

/// The helpers of this process.
pub(super) struct Crew {
    helpers: usize,
    /// Held by the caller whose batch it is.
    in_use: Mutex<()>,
    /// The batch that helpers may join.
    job: Mutex<Option<Job>>,
    /// How many batches there were.
    batches: AtomicU64,
    sleepers: AtomicUsize,
    wake: Condvar,
    /// Helpers at work on the batch.
    active: AtomicUsize,
    panicked: AtomicBool,
}

/// The crew, as large as rayon's pool with the caller in it.
fn crew() -> &'static Crew {
    static CREW: OnceLock<Crew> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let crew = CREW.get_or_init(|| Crew {
        helpers: rayon::current_num_threads() - 1,
        in_use: Mutex::new(()),
        job: Mutex::new(None),
        batches: AtomicU64::new(0),
        sleepers: AtomicUsize::new(0),
        wake: Condvar::new(),
        active: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
    });
    STARTED.get_or_init(|| {
        for helper in 1..=crew.helpers {
            // Without a helper the caller does it all.
            let named = std::thread::Builder::new().name(format!("vbd-{helper}"));
            drop(named.spawn(move || crew.help(helper)));
        }
    });
    crew
}

/// Runs `job` on this thread, and on up to `threads - 1` helpers that are free at once.
pub(super) fn run(threads: usize, job: &(dyn Fn(usize) + Sync)) {
    if threads < 2 {
        return job(0);
    }
    let crew = crew();
    let _in_use = match crew.in_use.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
        // The helpers are at work for somebody else.
        Err(TryLockError::WouldBlock) => return job(0),
    };
    let job_of_some = |helper: usize| {
        if helper < threads {
            job(helper);
        }
    };
    let erased: &(dyn Fn(usize) + Sync) = &job_of_some;
    // SAFETY: no helper holds the reference once `Lent` is dropped, which is before `job` ends: it
    // takes the job back, so that nobody joins, and waits for those who have.
    let erased = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(erased) };
    // A batch whose caller panicked too did not get to look at it.
    crew.panicked.store(false, Ordering::Relaxed);
    let lent = Lent(crew);
    *crew.job() = Some(erased);
    crew.batches.fetch_add(1, Ordering::SeqCst);
    if crew.sleepers.load(Ordering::SeqCst) > 0 {
        crew.wake.notify_all();
    }
    job(0);
    drop(lent);
    assert!(!crew.panicked.load(Ordering::Relaxed), "a helper panicked");
}

/// A job that is out; dropping it takes it back, on a panic too.
struct Lent(&'static Crew);

impl Drop for Lent {
    fn drop(&mut self) {
        *self.0.job() = None;
        let mut turns = 0_u32;
        while self.0.active.load(Ordering::Acquire) > 0 {
            // Helpers have a block each at most; one of them may have lost its processor.
            turns += 1;
            if turns.is_multiple_of(1 << 12) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

impl Crew {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A helper's life.
    fn help(&self, helper: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_batch(seen);
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

    /// Looks out for a batch after the one that was `seen`, then sleeps until there is one.
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
        for round in 0..2000 {
            let blocks = Mutex::new(0..round % 9);
            let taken = AtomicUsize::new(0);
            run(3, &|_| {
                while let Some(block) = { blocks.lock().unwrap().next() } {
                    taken.fetch_add(1 << (4 * block), Ordering::Relaxed);
                }
            });
            let expected = (0..round % 9).map(|block| 1 << (4 * block)).sum::<usize>();
            assert_eq!(taken.into_inner(), expected);
            if round % 500 == 0 {
                // Long enough to fall asleep.
                std::thread::sleep(LOOK_OUT * 3);
            }
        }
    }

    #[test]
    fn callers_at_the_same_time_do_not_mix() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let blocks = Mutex::new(0..7_usize);
                        let sum = AtomicUsize::new(0);
                        run(4, &|_| {
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
        // Until a helper joins: it may be at work for another test.
        for _ in 0..1000 {
            let joined = AtomicBool::new(false);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                run(2, &|member| {
                    joined.fetch_or(member > 0, Ordering::SeqCst);
                    let start = Instant::now();
                    while !joined.load(Ordering::SeqCst) && start.elapsed() < LOOK_OUT {
                        std::hint::spin_loop();
                    }
                    panic!("member {member}");
                });
            }));
            assert!(panicked.is_err());
            run(2, &|_| {});
            if joined.into_inner() {
                return;
            }
        }
        assert!(crew().helpers == 0, "no helper has joined");
    }

    #[test]
    fn a_callers_panic_takes_the_job_back() {
        let panicked = catch_unwind(|| run(2, &|member| assert!(member > 0, "the caller")));
        assert!(panicked.is_err());
        let ran = AtomicUsize::new(0);
        run(2, &|member| {
            _ = ran.fetch_add(usize::from(member == 0), Ordering::Relaxed);
        });
        assert_eq!(ran.into_inner(), 1);
    }
}
