// What the model saw of the video for an answer: the window's bar, and the strip of frames.

const FATES = {
  full: { sign: "■", word: "full", long: "full resolution" },
  low: { sign: "◧", word: "low", long: "low resolution" },
  dropped: { sign: "□", word: "dropped", long: "dropped" },
};

// Which stage dropped a frame, for its tooltip.
const STAGES = {
  temporal_dropped: "it looks like its neighbours",
  query_dropped: "others have more to do with the question",
  spatial_dropped: "all of it repeats an earlier frame",
};

const PARTS = [
  ["text", "text of the prompt"],
  ["full", "frames at full resolution"],
  ["low", "frames at low resolution"],
  ["newlines", "ends of rows"],
  ["reserved", "kept for the answer"],
  ["spare", "spare"],
];

const fateOf = (frame) => (frame.fate === "full" || frame.fate === "low" ? frame.fate : "dropped");

// The bar of the window's positions, and its legend with numbers.
function drawWindow(use) {
  const parts = PARTS.filter(([name]) => use[name] > 0);
  const share = (name) => `${((100 * use[name]) / use.window).toFixed(use[name] / use.window < 0.1 ? 1 : 0)} %`;
  const bars = parts.map(([name, words]) => {
    const bar = element("span", { class: `part-${name}`, title: `${words}: ${number.format(use[name])}` });
    bar.style.flexGrow = String(use[name]);
    return bar;
  });
  $("window").replaceChildren(...bars);
  const told = parts.map(([name, words]) => `${words} ${number.format(use[name])} (${share(name)})`);
  $("window").setAttribute("aria-label", `Of ${count(use.window, "position")}: ${told.join(", ")}`);
  $("window").removeAttribute("aria-labelledby");
  const items = parts.map(([name], i) => element("li", {}, element("i", { class: `part-${name}`, "aria-hidden": "true" }), told[i]));
  $("window-legend").replaceChildren(...items);
}

// The sampled frames of one encoding; another answer about it changes their outlines only.
class Strip {
  constructor(play) {
    this.play = play;
    this.list = $("strip");
    this.clear();
    this.list.addEventListener("click", (event) => this.choose(event.target.closest("button")));
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.list.addEventListener("focusin", (event) => this.focused(event.target.closest("button")));
    const filters = Object.entries(FATES).map(([fate, { sign, long }]) => {
      const text = element("span", {}, `${sign} ${long}`);
      const press = (event) => this.filter(fate, event.currentTarget);
      return element("button", { type: "button", "data-fate": fate, "aria-pressed": "true", onclick: press }, text, " ", element("b"));
    });
    $("fates").replaceChildren(...filters);
  }

  clear() {
    Object.assign(this, { key: null, frames: [], buttons: [], current: -1 });
    this.list.replaceChildren();
  }

  // Draws the frames of `visual`; says what became of them that was not so for the answer before.
  draw({ key, dimensions: [width, height], frames }) {
    const again = this.key === key && this.frames.length === frames.length;
    const before = again ? this.frames.map(fateOf) : null;
    if (!again) {
      this.clear();
      this.list.style.setProperty("--aspect", `${width} / ${height}`);
      this.buttons = frames.map((frame, place) => this.cell(key, frame, place));
      this.list.replaceChildren(...this.buttons.map((button) => element("li", {}, button)));
      this.list.scrollTop = 0;
    }
    Object.assign(this, { key, frames });
    const counts = { full: 0, low: 0, dropped: 0 };
    const changes = { full: 0, low: 0, dropped: 0 };
    frames.forEach((frame, place) => {
      const fate = fateOf(frame);
      const was = before && before[place] !== fate ? before[place] : null;
      counts[fate] += 1;
      if (was) changes[fate] += 1;
      this.paint(place, frame, fate, was);
    });
    for (const button of $("fates").children) button.querySelector("b").textContent = number.format(counts[button.dataset.fate]);
    show($("changes"), before ? Strip.told(changes) : "");
  }

  static told(changes) {
    const told = Object.entries(changes).filter(([, amount]) => amount);
    if (!told.length) return "The same frames as for the question before.";
    const words = told.map(([fate, amount]) => `${count(amount, "frame")} now ${fate === "dropped" ? "" : "at "}${FATES[fate].long}`);
    return `Other than for the question before: ${words.join(", ")}.`;
  }

  cell(key, frame, place) {
    const source = address(`v1/longvu/pictures/${encodeURIComponent(key)}/${frame.sample}.jpg`);
    const image = element("img", { loading: "lazy", decoding: "async", alt: "", src: source });
    image.addEventListener("error", () => image.remove());
    const line = (...names) => element("span", { class: "line" }, ...names.map((name) => element("span", { class: name })));
    const picture = element("span", { class: "picture" }, image, element("span", { class: "was", hidden: true }));
    const attributes = { type: "button", "data-place": place, tabindex: place ? -1 : 0 };
    return element("button", attributes, picture, line("time", "tokens"), line("fate", "score"));
  }

  paint(place, frame, fate, was) {
    const button = this.buttons[place];
    const { sign, word, long } = FATES[fate];
    const text = (name, words) => (button.querySelector(`.${name}`).textContent = words);
    const scores = [["against the question", frame.query_score], ["of its window", frame.temporal_score]].filter(([, value]) => value != null);
    button.parentElement?.setAttribute("data-fate", fate);
    text("time", clock(frame.timestamp));
    text("fate", `${sign} ${word}`);
    text("score", scores.length ? Strip.score(scores[0][1]) : "");
    text("tokens", frame.tokens ? `${number.format(frame.tokens)} tok` : "");
    const up = { dropped: 0, low: 1, full: 2 };
    const mark = button.querySelector(".was");
    show(mark, was && `${up[fate] > up[was] ? "▲" : "▼"} was ${FATES[was].word}`);
    if (was) button.dataset.was = was;
    else delete button.dataset.was;
    const told = [
      `${clock(frame.timestamp)}: ${long}`,
      STAGES[frame.fate],
      count(frame.tokens, "token"),
      ...scores.map(([what, value]) => `score ${what} ${Strip.score(value)}`),
      was && `before: ${FATES[was].long}`,
    ];
    button.title = told.filter(Boolean).join(", ");
    button.setAttribute("aria-label", button.title);
  }

  static score(value) {
    return value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e4) ? value.toFixed(3) : value.toExponential(1);
  }

  choose(button) {
    if (button) this.play(this.frames[Number(button.dataset.place)].timestamp);
  }

  // One frame is a stop of the Tab key; arrows move between them.
  focused(button) {
    if (!button) return;
    this.list.querySelectorAll('button[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
    button.tabIndex = 0;
  }

  move(event) {
    const shown = this.buttons.filter((button) => !this.list.classList.contains(`no-${button.parentElement.dataset.fate}`));
    const at = shown.indexOf(document.activeElement);
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: shown.length - 1 - at };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    shown[Math.min(Math.max(at + steps[event.key], 0), shown.length - 1)].focus();
  }

  filter(fate, button) {
    const hidden = this.list.classList.toggle(`no-${fate}`);
    button.setAttribute("aria-pressed", String(!hidden));
    const stop = this.list.querySelector('button[tabindex="0"]');
    if (!stop || stop.offsetParent === null) this.focused(this.buttons.find((button) => button.offsetParent !== null));
  }

  // Marks the frame that is on screen while the video plays.
  at(time) {
    let [low, high] = [0, this.frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.frames[middle].timestamp <= time + 0.001) low = middle + 1;
      else high = middle;
    }
    if (low - 1 === this.current) return;
    this.buttons[this.current]?.removeAttribute("aria-current");
    this.current = low - 1;
    this.buttons[this.current]?.setAttribute("aria-current", "time");
  }
}
