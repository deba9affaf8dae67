//! Connecting to the first of several addresses that answers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use crate::outside;

/// Pause before the next address is tried besides those that have not answered yet (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses that are tried.
const MAX: usize = 8;

/// Connects to `port` of the first address that answers. A family that leads nowhere costs a quarter of a second.
pub(crate) async fn tcp(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut pause = Duration::ZERO;
    for address in addresses.iter().take(MAX) {
        let to = SocketAddr::new(*address, port);
        attempts.spawn(async move {
            sleep(pause).await;
            outside::connect(to).await
        });
        pause += STAGGER;
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    while let Some(ended) = attempts.join_next().await {
        match ended {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(error) => last = io::Error::other(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::{
        net::{TcpListener, TcpSocket},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_delays_the_others_only() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Its backlog is full, so that the kernel drops further requests to connect.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind(SocketAddr::from(([127, 0, 0, 2], port))).unwrap();
        let silent = silent.listen(0).unwrap();
        let to = silent.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(to)).await
        {
            held.push(stream);
        }

        let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]].map(IpAddr::from);
        let stream =
            timeout(Duration::from_secs(10), tcp(&addresses, port)).await.unwrap().unwrap();

        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn without_an_answer_the_last_error_is_returned() {
        let free = lab::free_port().unwrap();
        let refused = tcp(&[free.ip()], free.port()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&[], 1).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
