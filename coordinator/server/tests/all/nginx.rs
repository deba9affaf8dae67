//! The coordinator behind Debian's nginx, set up as `docs/configuration.md` says.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use coordinator_api::settings::{Proxy, Settings};
use serde_json::json;
use testkit::eventually;

use crate::{
    device::{Device, server_key},
    harness::{Coordinator, configured, settings},
    http::get,
    listener::{BURST, ask, until_refused},
    tls::{self, Authority, NAME},
};

/// Ended when dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// HTTPS at the one address and plain HTTP at the other, both before the coordinator.
fn start(folder: &Path, [secure, plain]: [SocketAddr; 2], coordinator: SocketAddr) -> Nginx {
    let config = format!(
        r#"daemon off; master_process off; user root; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {secure} ssl;
        listen {plain};
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://{coordinator};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_buffering off;
            proxy_read_timeout 5m;
        }}
    }}
}}
"#,
        folder = folder.display()
    );
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new("/usr/sbin/nginx");
    nginx.arg("-c").arg(folder.join("nginx.conf")).stdin(Stdio::null());
    Nginx(nginx.spawn().unwrap())
}

#[tokio::test]
#[ignore = "needs: nginx"]
async fn pitfall_11_behind_nginx_devices_join_and_each_address_counts_for_itself() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(folder.path(), NAME);
    let proxy = Some(Proxy { trusted: vec!["127.0.0.1".to_owned()] });
    let server_url = Some(format!("https://{NAME}"));
    let config = configured(Settings { server_url, proxy, ..settings() });
    let coordinator = Coordinator::with(config, None).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let [secure, plain] = [(); 2].map(|()| lab::free_port().unwrap());
    let nginx = start(folder.path(), [secure, plain], coordinator.address);
    eventually("nginx starts", async || tokio::net::TcpStream::connect(plain).await).await;

    let (device, server) = (Device::new("laptop"), server_key(plain).await);
    let stream = authority.open(secure).await.unwrap();
    let mut channel = device.connect_over(stream, server).await.expect("a channel opens");
    assert!(channel.register(&device.with_key(&key)).await.machine_authorized);
    let mut map = channel.stream().await;
    assert!(map.next().await.unwrap().node.is_some());

    let mut page = authority.open(secure).await.unwrap();
    assert!(tls::ask(&mut page, "/join").await.contains("<script"));
    let (status, page) = get(plain, "/join").await;
    assert!(status == 200 && !page.contains("<script"), "it came over plain HTTP: {page}");

    let lie = |at: usize| format!("203.0.113.{}", at % 250);
    let crowd = async |at| ask([127, 0, 6, 1], plain, Some(&lie(at))).await;
    assert!(until_refused(crowd).await >= BURST);
    assert_eq!(ask([127, 0, 6, 2], plain, None).await, 200);
    assert_eq!(channel.update(channel.map_request()).await.0, 200);
    drop(nginx);
}
