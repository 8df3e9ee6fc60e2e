"""Every codec that can be compared, by the name that `--against` takes."""

from __future__ import annotations

from neuralcodec.bench import ours, zoo
from neuralcodec.bench.peers import Avif, Jpeg, JpegXl, Peer, WebP
from neuralcodec.errors import UsageError

_PEERS = (Jpeg(), WebP(), Avif(), JpegXl(), Avif(speed=4), JpegXl(effort=9))
PEERS: dict[str, Peer] = {peer.name: peer for peer in _PEERS}


def find(name: str) -> Peer:
    """Return the codec of that name, `ours...` and `compressai...` included.

    Raises:
        UsageError: there is none.
    """
    if name in PEERS:
        return PEERS[name]
    if name.startswith("ours"):
        return ours.find(name)
    if name.partition(":")[0] == "compressai":
        return zoo.find(name)
    raise UsageError(f"no codec named {name!r}; there is {', '.join(PEERS)}, ours and compressai")
