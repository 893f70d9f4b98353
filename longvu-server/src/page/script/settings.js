// The drawer of settings: what of a request it changes.

class Settings {
  constructor() {
    this.form = $("settings-form");
    this.dialog = $("settings");
    $("open-settings").addEventListener("click", () => this.dialog.showModal());
    $("reset-settings").addEventListener("click", () => {
      this.form.reset();
      this.changed();
    });
    this.form.addEventListener("input", () => this.changed());
    // Closing goes by Escape, too, so that nothing wrong may stay unseen: the next question tells it.
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.changed();
  }

  // What the server takes where nothing is given.
  defaults({ presets = [], fps, dino_threshold, drop_threshold, max_frames }) {
    const of = (name) => this.form.elements[name];
    of("preset").append(...presets.map((preset) => element("option", { value: preset }, preset)));
    for (const [name, value] of Object.entries({ fps, dino_threshold, drop_threshold, num_frames: max_frames })) {
      if (value != null) of(name).placeholder = String(value);
    }
    if (max_frames != null) of("num_frames").max = String(max_frames);
    this.changed();
  }

  given() {
    const values = {};
    for (const field of this.form.elements) {
      if (!field.name || field.value.trim() === "") continue;
      if (field.dataset.kind === "time") values[field.name] = seconds(field.value);
      else values[field.name] = field.type === "number" ? Number(field.value) : field.value;
    }
    return values;
  }

  changed() {
    for (const field of this.form.querySelectorAll("[data-kind=time]")) {
      const wrong = field.value.trim() !== "" && seconds(field.value) === null;
      field.setCustomValidity(wrong ? "Write a time as 90 or 1:30." : "");
    }
    const { start, end } = this.given();
    const until = this.form.elements.end;
    if (until.validity.valid && start != null && end != null && end <= start) until.setCustomValidity("The end comes before the start.");
    show($("settings-error"), this.wrong());
    const amount = Object.keys(this.given()).length;
    show($("changed-settings"), amount ? String(amount) : "");
    $("open-settings").setAttribute("aria-label", amount ? `Settings, ${amount} changed` : "Settings");
  }

  // What is wrong with the first field that is.
  wrong() {
    const field = [...this.form.elements].find((field) => field.name && !field.validity.valid);
    return field ? `${field.labels[0].firstChild.textContent.trim()}: ${field.validationMessage}` : "";
  }

  // The body of a request about some content.
  request(content) {
    const { fps, num_frames, max_tokens, temperature, ...ours } = this.given();
    const video = { ...(fps != null && { fps }), ...(num_frames != null && { num_frames }) };
    return {
      messages: [{ role: "user", content }],
      stream: true,
      stream_options: { include_usage: true },
      ...(max_tokens != null && { max_tokens }),
      ...(temperature != null && { temperature }),
      ...(Object.keys(video).length && { media_io_kwargs: { video } }),
      longvu: { frames: true, ...ours },
    };
  }
}
