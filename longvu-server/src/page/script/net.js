// Requests: settings, uploads with progress, answers as they come.

// Relative to the page, which may be mounted below another path.
const address = (path) => new URL(path, new URL(location.pathname.replace(/\/?$/, "/"), location.origin)).href;

async function request(path, options) {
  let response;
  try {
    response = await fetch(address(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Refusal.lost();
  }
  if (!response.ok) throw Refusal.of(response.status, await response.text().catch(() => ""), response.headers.get("retry-after"));
  return response;
}

// Sends a file, telling how much of it has gone; fetch tells nothing of that.
function upload(file, signal, progress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const form = new FormData();
    form.append("purpose", "user_data");
    form.append("file", file, file.name);
    sending.open("POST", address("v1/files"));
    sending.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded, event.total);
    sending.onload = () => {
      if (sending.status !== 200) return reject(Refusal.of(sending.status, sending.responseText, sending.getResponseHeader("retry-after")));
      try {
        resolve(JSON.parse(sending.responseText).id);
      } catch {
        reject(new Refusal("The server answered the upload with something else than it should."));
      }
    };
    sending.onerror = () => reject(Refusal.lost());
    sending.onabort = () => reject(new DOMException("given up", "AbortError"));
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}

// Takes server-sent events to pieces, wherever the network cut them: `comment(text)` and `data(text)`.
class Events {
  constructor(comment, data) {
    Object.assign(this, { comment, data, rest: "", lines: [] });
  }

  push(text) {
    this.rest += text;
    // A carriage return at the end may be half of a line's end.
    const ends = /\r\n|\n|\r(?!$)/g;
    let from = 0;
    for (let end = ends.exec(this.rest); end; end = ends.exec(this.rest)) {
      this.line(this.rest.slice(from, end.index));
      from = ends.lastIndex;
    }
    this.rest = this.rest.slice(from);
  }

  line(line) {
    if (line === "") {
      const lines = this.lines;
      this.lines = [];
      if (lines.length) this.data(lines.join("\n"));
    } else if (line.startsWith(":")) {
      this.comment(line.slice(1).trim());
    } else if (line.startsWith("data:")) {
      this.lines.push(line.slice(5).replace(/^ /, ""));
    }
  }
}

// What an error that comes in the middle of an answer would have had for a status.
const STATUS = { not_found_error: 404, overloaded_error: 503, server_error: 500 };

// Asks, and hands on what comes: `progress(step)` and `chunk(object)`. Ends when the answer is whole.
async function converse(body, signal, { progress, chunk }) {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  const response = await request("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  let whole = false;
  const events = new Events(
    (text) => {
      const told = /^longvu (\{.*\})$/s.exec(text);
      if (told) progress(JSON.parse(told[1]));
    },
    (text) => {
      if (text === "[DONE]") {
        whole = true;
        return;
      }
      const said = JSON.parse(text);
      if (said.error) throw Refusal.of(STATUS[said.error.type] ?? 400, text, null);
      chunk(said);
    },
  );
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    while (!whole) {
      const { done, value } = await reader.read();
      if (done) break;
      events.push(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (error instanceof SyntaxError) throw new Refusal("The server sent something that is no answer.");
    if (error instanceof TypeError) throw new Refusal("The connection was lost before the answer was whole. Try again.");
    throw error;
  }
  if (!whole) throw new Refusal("The connection ended before the answer was whole. Try again.");
}
