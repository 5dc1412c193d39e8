"""A server as vLLM is one, on loopback and in this process: it answers with a model folder's own decoder."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from netgain.engine import DecodeRequest, Sampling, backend_for, decoder_for
from netgain.engine.lora import Adapter, load_adapter, read_config
from netgain.model.loading import Texts, load_parts

NAME = "tried"


class Server:
    """``faults`` are taken one for each completion: a status, ``cut``, or fields that replace those of the answer.

    ``seen`` are the bodies of completions, ``loads`` and ``unloads`` the names of adapters, in order.
    """

    def __init__(
        self, folder: Path, *, context: int = 128, adapts: bool = True, honours: bool = True, ids: bool = True
    ) -> None:
        how: dict[str, Any] = {"dtype": "float32", "attention": "auto", "revision": None, "device": "cpu"}
        loaded = load_parts(folder, trust_remote_code=False, allow_pickle=False, **how)
        self._texts, self._engine = Texts(loaded, "auto"), backend_for(loaded.model)
        self._decoder = decoder_for(self._engine, text_of=self._texts.text)
        self.context, self.adapts, self.honours, self.ids = context, adapts, honours, ids
        self.faults: list[Any] = []
        self.down_after: int | None = None
        self.seen: list[dict[str, Any]] = []
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.adapters: dict[str, Adapter] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                card = {"id": NAME, "object": "model", "max_model_len": server.context, "parent": None}
                others = [{"id": name, "parent": NAME} for name in server.adapters]
                self._say(200, {"object": "list", "data": [card, *others]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    status, answer = server._answer(self.path.removeprefix("/v1"), body)
                if status:
                    self._say(status, answer)
                else:
                    self.connection.shutdown(socket.SHUT_RDWR)

            def _say(self, status: int, answer: Any) -> None:
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None: ...

        return Handler

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/completions":
            return self._complete(body)
        if not self.adapts:
            return 404, {"error": {"message": "Not Found"}}
        name = body["lora_name"]
        if path == "/unload_lora_adapter":
            self.unloads.append(name)
            return (200, "Success") if self.adapters.pop(name, None) else (404, {"error": {"message": "none"}})
        folder = Path(body["lora_path"])
        rank, alpha, names = read_config(folder)
        self.adapters[name] = load_adapter(folder, self._engine.layout(names, rank, alpha))
        self.loads.append(name)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.down_after is not None and len(self.seen) >= self.down_after:
            return 503, {"error": {"message": "no engine"}}
        self.seen.append(body)
        fault = self.faults.pop(0) if self.faults else {}
        if isinstance(fault, int):
            return fault, {"error": {"message": "no"}}
        if fault == "cut":
            return 0, None
        if body["model"] not in (NAME, *self.adapters):
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        adapter = self.adapters.get(body["model"]) if self.honours else None
        sampling = Sampling(
            max_new_tokens=body["max_tokens"], temperature=body["temperature"], top_p=body["top_p"], seed=body["seed"]
        )
        request = DecodeRequest(
            prompt=tuple(body["prompt"]),
            adapter=None if adapter is None else 0,
            sampling=sampling,
            eos=tuple(body["stop_token_ids"]),
        )
        (answer,) = self._decoder.generate([request], [] if adapter is None else [adapter])
        tokens, finish = list(answer.tokens), "stop" if answer.finish == "eos" else "length"
        for count in range(1, len(tokens) + 1):  # as vLLM does: a stop string counts wherever it stands
            if any(text in self._texts.text(tokens[:count]) for text in body["stop"]):
                tokens, finish = tokens[:count], "stop"
                break
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(tokens)}
        choice = {"index": 0, "text": self._texts.text(tokens), "finish_reason": finish, "token_ids": tokens}
        if not self.ids:  # as before there was a field for them
            told = {"tokens": [f"token_id:{token}" for token in tokens]} if body.get("logprobs") else None
            choice |= {"token_ids": None, "logprobs": told}
        given = {"id": "1", "object": "text_completion", "model": NAME, "choices": [choice], "usage": usage}
        return 200, given | fault
