// The video that is asked about: chosen, dropped or the example; shown here, and sent to the server.

class Source {
  constructor(settings, chosen) {
    Object.assign(this, { settings, chosen, file: null, id: null, image: false, aborter: null, url: null });
    const input = $("file");
    $("choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files[0]) this.take(input.files[0]);
      input.value = "";
    });
    $("another").addEventListener("click", () => this.forget());
    $("pick-example").addEventListener("click", () => this.takeExample());
    const dropped = $("source");
    // A file that is dropped beside the place would be opened by the browser instead of the page.
    for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
    dropped.addEventListener("dragover", () => dropped.classList.add("over"));
    dropped.addEventListener("dragleave", () => dropped.classList.remove("over"));
    dropped.addEventListener("drop", (event) => {
      dropped.classList.remove("over");
      if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
    addEventListener("pagehide", (event) => event.persisted || this.drop());
    const video = $("video");
    video.addEventListener("error", () => this.url && show($("unplayable"), $("unplayable").dataset.words));
    $("unplayable").dataset.words = $("unplayable").textContent;
  }

  async takeExample() {
    try {
      const url = this.settings.example.url;
      const response = await request(url.replace(/^\//, ""));
      const file = new File([await response.blob()], "example.mp4", { type: "video/mp4" });
      this.take(file, this.settings.example.questions || [], response.url);
    } catch (error) {
      this.fail(error);
    }
  }

  // Shows a file and begins to send it.
  take(file, questions = [], url = null) {
    this.forget();
    show($("source-error"), "");
    const { max_upload: most } = this.settings;
    if (!file.size) return this.fail(new Refusal(`${file.name} is empty.`));
    if (most && file.size > most) {
      return this.fail(new Refusal(`${file.name} has ${size(file.size)}, and this server takes no more than ${size(most)}.`));
    }
    this.file = file;
    this.image = file.type.startsWith("image/");
    this.url = url ?? URL.createObjectURL(file);
    this.present();
    this.chosen(questions);
    this.begin();
  }

  // Sends the file, also once more: the server forgets it with a restart, for one. Who asks meanwhile waits for `ready`.
  begin() {
    this.id = null;
    const ready = this.send();
    ready.catch((error) => {
      if (this.ready === ready) this.ready = null;
      this.fail(error);
    });
    this.ready = ready;
    return ready;
  }

  present() {
    $("drop").hidden = true;
    $("player").hidden = false;
    $("name").textContent = `${this.file.name}, ${size(this.file.size)}`;
    show($("unplayable"), "");
    $("video").hidden = this.image;
    $("picture").hidden = !this.image;
    (this.image ? $("picture") : $("video")).src = this.url;
  }

  async send() {
    this.aborter = new AbortController();
    const { signal } = this.aborter;
    const [bar, text, start] = [$("upload-bar"), $("upload-text"), performance.now()];
    $("upload").hidden = false;
    bar.value = 0;
    text.textContent = "Sending the file";
    say("Sending the file");
    try {
      this.id = await upload(this.file, signal, (loaded, total) => {
        const taken = (performance.now() - start) / 1000;
        const left = loaded < total && taken > 1 ? `, ${lasting((taken * (total - loaded)) / loaded)} left` : "";
        bar.value = loaded / total;
        text.textContent = loaded < total ? `Sending the file: ${size(loaded)} of ${size(total)}${left}` : "The server stores the file";
      });
      say("The file is with the server.");
    } finally {
      if (this.aborter?.signal === signal) $("upload").hidden = true;
    }
    return this.id;
  }

  fail(error) {
    if (error.name === "AbortError") return;
    show($("source-error"), error.message || String(error));
    if (!this.file || this.id) return;
    const again = () => {
      show($("source-error"), "");
      this.begin();
    };
    $("source-error").append(element("button", { type: "button", onclick: again }, "Send it again"));
  }

  content() {
    const url = { url: this.id };
    return this.image ? { type: "image_url", image_url: url } : { type: "video_url", video_url: url };
  }

  play(time) {
    const player = this.image ? $("picture") : $("video");
    player.scrollIntoView({ block: "nearest" });
    if (this.image) return;
    player.currentTime = time;
    // Some browsers do not start what is not muted; the frame is shown all the same.
    player.play().catch(() => {});
  }

  // The server keeps what it made of the file; the file itself is no longer needed there.
  drop() {
    if (this.id) fetch(address(`v1/files/${encodeURIComponent(this.id)}`), { method: "DELETE", keepalive: true }).catch(() => {});
    this.id = null;
  }

  forget() {
    this.aborter?.abort();
    this.drop();
    if (this.url?.startsWith("blob:")) URL.revokeObjectURL(this.url);
    Object.assign(this, { file: null, url: null, aborter: null, ready: null });
    $("video").removeAttribute("src");
    $("video").load();
    $("picture").removeAttribute("src");
    $("drop").hidden = false;
    for (const id of ["player", "upload"]) $(id).hidden = true;
    show($("source-error"), "");
    this.chosen([]);
  }
}
