"""A proxy on loopback that leads every host to one server, and a front that speaks TLS for that server under any name."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Proxy:
    """`asked` are the heads of the requests that it got."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """Where it was asked to go: `host:port` of a tunnel, the URL of a request that was handed on."""
        return [head.split(" ")[1] for head in self.asked]


def certificates(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority's certificate, and a server's context with one that it signed for these names."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, of: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        return (
            x509.CertificateBuilder(authority, subject, of.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(key, hashes.SHA256())
        )

    of_authority = certificate(authority, key, x509.BasicConstraints(ca=True, path_length=None))
    of_server = certificate(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
        server_key,
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]),
    )
    (folder / "authority.pem").write_bytes(of_authority.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(
        of_server.public_bytes(Encoding.PEM) + server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "authority.pem", context


@contextmanager
def proxy_to(upstream_port: int, tls: ssl.SSLContext) -> Iterator[Proxy]:
    """A proxy whose tunnels end at a TLS front of the server at that port, and whose plain requests end at the server itself."""
    proxy, ready, loop = Proxy(), threading.Event(), asyncio.new_event_loop()

    async def to_upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        await _join(reader, writer, upstream_port, first)

    async def main() -> None:
        async with await asyncio.start_server(_quietly(to_upstream), "127.0.0.1", 0, ssl=tls) as front:
            front_port = front.sockets[0].getsockname()[1]

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                proxy.asked.append(head)
                method, target, rest = head.split(" ", 2)
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await _join(reader, writer, front_port, b"")
                else:
                    path = "/" + target.split("/", 3)[3]
                    await to_upstream(reader, writer, f"{method} {path} {rest}".encode("latin-1"))

            async with await asyncio.start_server(_quietly(serve), "127.0.0.1", 0) as server:
                proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                ready.set()
                await asyncio.Event().wait()

    def run() -> None:
        with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(10)


def _quietly(serve: Serve) -> Serve:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    return served


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes) -> None:
    """Hands bytes on in both directions until either side ends."""
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
    other_writer.write(first)

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

    ways: Sequence[asyncio.Task[None]] = [
        asyncio.create_task(pipe(reader, other_writer)),
        asyncio.create_task(pipe(other_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        other_writer.close()
