//! A small HTTP service over a store, on tokio and axum.
//!
//! You learn: the handle as shared state of a service, the handling of errors, and an orderly end.
//! Without an argument the program starts the service on a free port, uses it and stops. With
//! `--serve` it runs until Ctrl-C. It needs the feature `tokio` of kvick.
//!
//! ```text
//! cargo run --release --example on_tokio
//! cargo run --release --example on_tokio -- --serve 127.0.0.1:8080
//! curl -X PUT --data 'hello' http://127.0.0.1:8080/greeting && curl http://127.0.0.1:8080/greeting
//! ```

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use kvick::runtime::Handle;
use kvick::{Config, ErrorKind, FasterKv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

type Store = FasterKv<str, [u8]>;
type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = tempfile::tempdir()?;
    let store: Store = FasterKv::builder(Config::default())
        .runtime(Handle::tokio(tokio::runtime::Handle::current()))
        .open(directory.path())
        .await?;
    let service = Router::new()
        .route("/{key}", get(read).put(write).delete(remove))
        .with_state(store.clone());

    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => exercise(service).await?,
        ["--serve", address] => {
            let listener = TcpListener::bind(address).await?;
            println!("http://{}/KEY takes GET, PUT, DELETE", listener.local_addr()?);
            let interrupted = async {
                let _ = tokio::signal::ctrl_c().await;
            };
            axum::serve(listener, service).with_graceful_shutdown(interrupted).await?;
        }
        _ => return Err("usage: on_tokio [--serve ADDRESS:PORT]".into()),
    }
    store.close().await?;
    Ok(())
}

async fn read(State(store): State<Store>, Path(key): Path<String>) -> Result<Vec<u8>, StatusCode> {
    let value = store.read(&key).await.map_err(status)?;
    value.ok_or(StatusCode::NOT_FOUND)
}

async fn write(
    State(store): State<Store>,
    Path(key): Path<String>,
    value: Bytes,
) -> Result<StatusCode, StatusCode> {
    store.upsert(&key, &value).await.map_err(status)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(store): State<Store>, Path(key): Path<String>) -> Result<(), StatusCode> {
    store.delete(&key).await.map_err(status)?;
    Ok(())
}

/// Returns the status for an error. Both tell the caller what to do.
fn status(error: kvick::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::InvalidArgument => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Busy | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Starts the service on a free port, uses it, and stops it.
async fn exercise(service: Router) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        // An error also means the end: no task is left to send a message.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());

    assert_eq!(request(&address, "GET", "").await?, (404, String::new()));
    assert_eq!(request(&address, "PUT", "hello").await?.0, 204);
    assert_eq!(request(&address, "GET", "").await?, (200, "hello".into()));
    assert_eq!(request(&address, "DELETE", "").await?.0, 200);
    assert_eq!(request(&address, "GET", "").await?.0, 404);

    // Many clients run at once, and each one reads its own write.
    let clients = (0..50).map(|client| {
        let (address, body) = (address.as_str(), format!("client {client}"));
        async move {
            let key = format!("{address}/{client}");
            assert_eq!(request(&key, "PUT", &body).await?.0, 204);
            assert_eq!(request(&key, "GET", "").await?, (200, body));
            Ok::<_, Failed>(())
        }
    });
    futures::future::try_join_all(clients).await?;

    let _ = stop.send(());
    server.await??;
    println!("http://{address} did what it should");
    Ok(())
}

/// Sends a request of `ADDRESS` or `ADDRESS/KEY` on a new connection. Returns the status and the
/// body.
async fn request(url: &str, method: &str, body: &str) -> Result<(u16, String), Failed> {
    let (address, key) = url.split_once('/').unwrap_or((url, "greeting"));
    let mut connection = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} /{key} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer has a head")?;
    let status = head.split(' ').nth(1).ok_or("a head has a status")?;
    Ok((status.parse()?, body.to_owned()))
}
