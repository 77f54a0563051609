//! A transfer on a thread of its own, watched for progress.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use hf_hub::HFError;
use hf_hub::progress::{
    DownloadEvent, FileProgress, Progress as Handler, ProgressEvent, ProgressHandler,
};

use super::{HubProblem, Progress};

/// What the thread tells.
enum Message<T> {
    Progress(Progress),
    Done(Result<T, HFError>),
}

/// A transfer that is given up when it makes no progress.
pub(super) struct Watched;

impl Watched {
    /// Runs `transfer`. Returns its result and the total of bytes, if the hub gave one. A transfer that
    /// is given up keeps its thread, which ends with the process or its connection.
    ///
    /// # Errors
    /// [`HubProblem::Silent`] after `patience` without progress, and those of the transfer.
    pub(super) fn run<T: Send + 'static>(
        patience: Duration,
        watcher: &mut dyn FnMut(Progress),
        transfer: impl FnOnce(Handler) -> Result<T, HFError> + Send + 'static,
    ) -> Result<(T, Option<u64>), HubProblem> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let handler = Handler::new(Sent(sender.clone()));
            // Nobody listens to a transfer that was given up.
            let _ = sender.send(Message::Done(transfer(handler)));
        });
        let mut total = None;
        loop {
            match receiver.recv_timeout(patience) {
                Ok(Message::Progress(progress)) => {
                    total = (progress.total > 0).then_some(progress.total).or(total);
                    watcher(progress);
                }
                Ok(Message::Done(result)) => return Ok((result?, total)),
                Err(RecvTimeoutError::Timeout) => return Err(HubProblem::Silent(patience)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(HubProblem::Other(
                        "the transfer ended without a result".to_owned(),
                    ));
                }
            }
        }
    }
}

/// Sends hf-hub's events.
struct Sent<T>(Sender<Message<T>>);

impl<T: Send> ProgressHandler for Sent<T> {
    fn on_progress(&self, event: &ProgressEvent) {
        let progress = match event {
            ProgressEvent::Download(DownloadEvent::Start { total_bytes, .. }) => Progress {
                done: 0,
                total: *total_bytes,
            },
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                let Some(FileProgress {
                    bytes_completed,
                    total_bytes,
                    ..
                }) = files.first()
                else {
                    return;
                };
                Progress {
                    done: *bytes_completed,
                    total: *total_bytes,
                }
            }
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            }) => Progress {
                done: *bytes_completed,
                total: *total_bytes,
            },
            _ => Progress { done: 0, total: 0 },
        };
        let _ = self.0.send(Message::Progress(progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_without_progress_is_given_up_and_a_slow_one_is_not() {
        let patience = Duration::from_millis(200);
        let stuck = Watched::run(patience, &mut |_| {}, |_| {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        });
        assert!(matches!(stuck, Err(HubProblem::Silent(_))), "{stuck:?}");

        let mut seen = 0;
        let slow = Watched::run(patience, &mut |_| seen += 1, |handler| {
            for _ in 0..8 {
                thread::sleep(Duration::from_millis(50));
                let start = DownloadEvent::Start {
                    total_files: 1,
                    total_bytes: 7,
                };
                handler.on_progress(&ProgressEvent::Download(start));
            }
            Ok("done")
        });
        assert_eq!((slow.unwrap(), seen), (("done", Some(7)), 8));
    }
}
