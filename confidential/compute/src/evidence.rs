//! Evidence with the clients' nonces: requests that wait while the security module is busy share one document.
//!
//! ```text
//! nonces ──▶ queue of 64 ──▶ one call of the holder for all of them ──▶ the same evidence to each
//! ```
//!
//! `NONCE_SET` has the nonces of all clients; the document has its hash.

use std::sync::Arc;

use confidential_api::{evidence::EvidenceList, names::NONCE_LEN};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use crate::{frame::Refusal, rek::RekStore};

/// Capacity of the queue, and maximum number of nonces in one document.
pub const WAITING_MAX: usize = 64;

/// A request for evidence.
struct PendingRequest {
    nonce: [u8; NONCE_LEN],
    answer: oneshot::Sender<Result<Arc<[u8]>, Refusal>>,
}

/// The queue of requests for evidence.
#[derive(Clone, Debug)]
pub struct EvidenceQueue(mpsc::Sender<PendingRequest>);

impl EvidenceQueue {
    /// A queue, and the future that serves it until the last handle is dropped.
    pub fn new(reks: Arc<RekStore>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        (Self(sender), serve(reks, waiting))
    }

    /// The evidence for a nonce, as `SignedEvidenceList`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] if the queue is full, [`Refusal::Failed`] if the holder fails.
    pub async fn ask(&self, nonce: [u8; NONCE_LEN]) -> Result<Arc<[u8]>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(PendingRequest { nonce, answer }).map_err(|_| Refusal::Busy)?;
        answered.await.unwrap_or(Err(Refusal::Failed))
    }
}

async fn serve(reks: Arc<RekStore>, mut waiting: mpsc::Receiver<PendingRequest>) {
    let mut all = Vec::with_capacity(WAITING_MAX);
    while waiting.recv_many(&mut all, WAITING_MAX).await > 0 {
        // Without clients that have disconnected.
        all.retain(|it| !it.answer.is_closed());
        if all.is_empty() {
            continue;
        }
        let nonces = all.iter().map(|it| it.nonce).collect::<Vec<_>>().concat();
        let reks = Arc::clone(&reks);
        let asked = spawn_blocking(move || reks.present()?.attest(&nonces));
        let answer = match asked.await {
            Ok(Ok(pieces)) => Ok(Arc::from(EvidenceList(pieces).encode())),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "evidence could not be made");
                Err(Refusal::Failed)
            }
            Err(_) => Err(Refusal::Failed),
        };
        for it in all.drain(..) {
            let _ = it.answer.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    };

    use confidential_api::evidence::{EvidencePiece, EvidenceType};
    use confidential_envelope::{
        Decapsulate, DecapsulateError, Kem, PrivateKey, PublicKey, SharedSecret,
    };
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        holder::{Holder, HolderError, Rek},
        nsm::NsmError,
    };

    /// A holder that responds when the test lets it, and reports its requests.
    #[derive(Clone, Debug)]
    struct SlowHolder {
        asked: Arc<Mutex<Sender<Vec<u8>>>>,
        go: Arc<Mutex<Receiver<()>>>,
        public: PublicKey,
    }

    impl Holder for SlowHolder {
        fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
            Ok(Arc::new(self.clone()))
        }
    }

    impl Rek for SlowHolder {
        fn public(&self) -> &PublicKey {
            &self.public
        }

        fn attest(&self, nonces: &[u8]) -> Result<Vec<EvidencePiece>, HolderError> {
            self.asked.lock().unwrap().send(nonces.to_vec()).unwrap();
            self.go.lock().unwrap().recv().map_err(|_| NsmError::Malformed)?;
            let kind = EvidenceType::NONCE_SET;
            Ok(vec![EvidencePiece { kind, data: nonces.to_vec(), signature: Vec::new() }])
        }
    }

    impl Decapsulate for SlowHolder {
        fn kem(&self) -> Kem {
            Kem::P256
        }

        fn decapsulate(&self, _: &[u8]) -> Result<SharedSecret, DecapsulateError> {
            Err(DecapsulateError::Invalid)
        }
    }

    fn line() -> (EvidenceQueue, Receiver<Vec<u8>>, Sender<()>) {
        let ((asked, questions), (go, let_go)) = (channel(), channel());
        let (asked, go_when) = (Arc::new(Mutex::new(asked)), Arc::new(Mutex::new(let_go)));
        let public = PrivateKey::generate(Kem::P256).unwrap().public();
        let slow = SlowHolder { asked, go: go_when, public };
        let (line, served) = EvidenceQueue::new(Arc::new(RekStore::new(Box::new(slow)).unwrap()));
        tokio::spawn(served);
        (line, questions, go)
    }

    async fn question(questions: Receiver<Vec<u8>>) -> (Vec<u8>, Receiver<Vec<u8>>) {
        spawn_blocking(move || (questions.recv().unwrap(), questions)).await.unwrap()
    }

    fn set(evidence: &[u8]) -> Vec<u8> {
        EvidenceList::decode(evidence).unwrap().0.remove(0).data
    }

    #[tokio::test]
    async fn nonces_that_wait_share_a_document_each_contained_and_a_full_line_is_busy() {
        let (line, questions, go) = line();
        let ask = |nonce: u8| {
            let line = line.clone();
            tokio::spawn(async move { line.ask([nonce; NONCE_LEN]).await })
        };
        let first = ask(0);
        let (asked, questions) = question(questions).await;
        assert_eq!(asked, [0; NONCE_LEN]);

        // While the module is busy with the first, as many wait as may.
        let waiting: Vec<_> = (1..=u8::try_from(WAITING_MAX).unwrap()).map(ask).collect();
        while line.0.max_capacity() - line.0.capacity() < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        let one_more = line.ask([99; NONCE_LEN]).now_or_never();
        assert_eq!(one_more.expect("it does not wait").unwrap_err(), Refusal::Busy);

        go.send(()).unwrap();
        assert_eq!(set(&first.await.unwrap().unwrap()), [0; NONCE_LEN]);
        let (asked, _questions) = question(questions).await;
        assert_eq!(asked.len(), WAITING_MAX * NONCE_LEN, "one document for all of them");
        go.send(()).unwrap();
        for (nonce, told) in (1..).zip(waiting) {
            let set = set(&told.await.unwrap().unwrap());
            assert!(set.chunks(NONCE_LEN).any(|it| it == [nonce; NONCE_LEN]), "{nonce}");
        }
    }

    #[tokio::test]
    async fn an_attester_that_fails_is_told_and_asked_again_the_next_time() {
        let (line, questions, go) = line();
        drop(go);
        for _ in 0..2 {
            assert_eq!(line.ask([1; NONCE_LEN]).await.unwrap_err(), Refusal::Failed);
        }
        assert_eq!(questions.try_iter().count(), 2);
    }
}
