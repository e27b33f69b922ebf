"""What can be reached from a container; `docker/check` runs this in some of them.

``probe.py through GATE HIDDEN=ADDRESS,... ...``
    A node's view: only the gate can be reached, and only the Fleet API behind it.
``probe.py inside SUPERLINK``
    From the SuperLink's own network: the APIs that a gate holds back are there.
"""

import http.client
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

PORT = 8000
TIMEOUT = 5.0  # seconds
CONTEXT = ssl.create_default_context(cafile="/keys/ca.pem")

FLEET = "/v1/fleet/activate-node"
CLOSED = ["/v1/control/start-run", "/v1/control/register-node", "/v1/runtime/acquire-task", "/v1/runtime/push-messages"]
# Ways to write a path that servers do not read alike.
TRICKS = [
    "//v1/control/start-run",
    "/V1/CONTROL/start-run",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet/..%2fcontrol/start-run",
    "/v1/control/../fleet/activate-node",
    "/v1/%63ontrol/start-run",
    "/v1/fleet/activate-node?/v1/control/start-run",
    "/v1/fleet/activate-node/",
    "https://localhost/v1/control/start-run",
    "/../v1/control/start-run",
    "/openapi.json",
    "/",
]

failed = False


def main(mode: str, host: str, *hidden: str) -> None:
    """Ask `host`, and try what should not be there."""
    tell(status(host, "GET", "/health") == 200, f"{host} says that it is well")
    # What is no protobuf, the API refuses with 415; the gate refuses with 403, or 400 what is no path at all.
    tell(status(host, "POST", FLEET) == 415, f"{host} has {FLEET}")
    if mode == "inside":
        for path in CLOSED:
            tell(status(host, "POST", path) == 415, f"{host} has {path}")
        return
    for path in CLOSED + TRICKS:
        tell(all(status(host, method, path) in (403, 400) for method in ("POST", "GET")), f"{host} refuses {path}")
    places = dict(entry.split("=") for entry in hidden)
    with ThreadPoolExecutor(2 * len(places)) as pool:  # what is not there is found out by waiting
        named, reached = pool.map(resolves, places), pool.map(connects, places.values())
        for (name, addresses), has_name, is_there in zip(places.items(), named, reached, strict=True):
            tell(not has_name, f"{name} has no address here")
            tell(not is_there, f"{name} cannot be reached at {addresses}")


def tell(good: bool, what: str) -> None:
    """Print a finding."""
    global failed  # noqa: PLW0603
    failed |= not good
    print(f"{'ok  ' if good else 'FAIL'} {what}")


def status(host: str, method: str, path: str) -> int:
    """Send a request with the path just as it is written."""
    connection = http.client.HTTPSConnection(host, PORT, timeout=TIMEOUT, context=CONTEXT)
    try:
        connection.request(method, path, b"" if method == "POST" else None)
        return connection.getresponse().status
    finally:
        connection.close()


def resolves(name: str) -> bool:
    """Whether a name has an address."""
    try:
        socket.gethostbyname(name)
    except OSError:
        return False
    return True


def connects(addresses: str) -> bool:
    """Whether somebody listens at one of several addresses."""
    for address in addresses.split(","):
        with suppress(OSError):
            socket.create_connection((address, PORT), TIMEOUT).close()
            return True
    return False


main(*sys.argv[1:])
sys.exit(failed)
