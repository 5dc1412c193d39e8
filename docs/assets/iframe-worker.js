// A browser starts no worker for a page that lies on disk. There, and only there, the search of this site runs in a
// hidden frame, which is spoken to as if it were a worker (and asks for the name IFrameWorker).
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.loaded = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }))
      // A URL holds no quote that ends the attribute: they are %22 in it.
      const source = new URL(url, document.baseURI).href
      this.frame.srcdoc =
        `<script>postMessage = (data) => parent.postMessage(data, "*")</script><script src="${source}"></script>`
      window.addEventListener("message", (event) => {
        if (event.source === this.frame.contentWindow) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }))
        }
      })
      document.documentElement.append(this.frame)
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }
  window.Worker = window.IFrameWorker
}
