//! JSON-RPC servers of the tests: nodes in front of a node, and signers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// One request: its body.
fn body(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// A server that answers each request, or hangs up where there is no answer.
pub fn serve(answer: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let Some(body) = body(&stream) else { return };
                let Some(answer) = answer(&serde_json::from_slice(&body).unwrap()) else { return };
                let text = answer.to_string();
                let head = format!("content-type: application/json\r\ncontent-length: {}", text.len());
                let _ = write!(stream, "HTTP/1.1 200 x\r\n{head}\r\nconnection: close\r\n\r\n{text}");
            });
        }
    });
    url
}

/// What a node answers to a request.
pub fn ask(node: &str, request: &Value) -> Value {
    let body = request.to_string();
    let mut stream = TcpStream::connect(node.trim_start_matches("http://")).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json = &answer[answer.find("\r\n\r\n").unwrap() + 4..];
    serde_json::from_str(&json[json.find('{').unwrap()..=json.rfind('}').unwrap()]).unwrap()
}

/// A good answer.
pub fn result(request: &Value, result: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": result.into() })
}

/// A refusal.
pub fn refusal(request: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": code, "message": message } })
}
