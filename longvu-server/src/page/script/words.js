// Elements, and numbers and errors in words.

const $ = (id) => document.getElementById(id);

// Text of any origin becomes text, never markup.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function show(node, text) {
  node.hidden = !text;
  node.replaceChildren(text || "");
}

// What changes often is not in a live region; what is said to a screen reader goes here.
function say(text) {
  if ($("said").textContent !== text) $("said").textContent = text;
}

const number = new Intl.NumberFormat("en-GB");

function count(amount, what) {
  return `${number.format(amount)} ${what}${amount === 1 ? "" : "s"}`;
}

function clock(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, (tenths % 600) / 10];
  const text = Number.isInteger(rest) ? String(rest).padStart(2, "0") : rest.toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${text}` : `${minutes}:${text}`;
}

function lasting(seconds) {
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const amount = bytes / 1024 ** unit;
  return `${unit && amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

// Seconds of `75`, `1:15` or `0:01:15.5`; null of what is none.
function seconds(text) {
  const parts = text.trim().split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) return null;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}

// Why a request came to nothing, for a person.
class Refusal extends Error {
  constructor(message, { status = 0, after = null, param = null } = {}) {
    super(message);
    Object.assign(this, { status, after, param });
  }

  static lost() {
    return new Refusal("The server cannot be reached. Look whether it still runs and whether this device is connected, then try again.");
  }

  static of(status, body, header) {
    const after = Number(header) > 0 ? Number(header) : null;
    let error = null;
    try {
      error = JSON.parse(body).error;
    } catch {
      // A proxy in between may answer in a form of its own.
    }
    const said = typeof error?.message === "string" ? error.message : "";
    return new Refusal(Refusal.words(status, said, after), { status, after, param: error?.param ?? null });
  }

  static words(status, said, after) {
    const whole = said.replace(/[^.!?]$/, "$&.");
    const then = said ? `: ${whole}` : ".";
    switch (status) {
      case 401:
        return "The server wants a key. Reload the page, and give the key as the password when the browser asks.";
      case 404:
        return `The server does not have that${then}`;
      case 413:
        return `Too large for this server${then}`;
      case 429:
      case 503:
        return `The server has too much to do now${then}${after ? ` Try again in ${lasting(after)}.` : ""}`;
      case 500:
        return `The server failed${then}`;
      case 502:
      case 504:
        return "The server does not answer the machine in front of it. Try again in a moment.";
      default:
        return whole ? whole[0].toUpperCase() + whole.slice(1) : `The server refused the request (status ${status}).`;
    }
  }
}
