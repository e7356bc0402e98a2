"""Flower's Fleet API, as far as the check speaks it.

The only module of `client` that imports private parts of Flower: its messages, its signature and its headers. Flower
has no public way to ask "would this node be let in?", short of starting a SuperNode. Pinned with flwr==1.41.0.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, HEARTBEAT_MIN_INTERVAL, TIMESTAMP_HEADER
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse, DeactivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.error import ApiErrorCode
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

OTHER_VERSION = int(ApiErrorCode.RUNTIME_VERSION_INCOMPATIBLE)
NOT_ACTIVATED = int(ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED)  # unknown key, or connected already
NO_INTERVAL = int(ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL)


@dataclass(frozen=True)
class Call:
    """A signed request; its signature holds for some seconds."""

    path: str
    headers: dict[str, str]
    body: bytes


def activation(key: ec.EllipticCurvePrivateKey) -> Call:
    """Ask to be let in, as a SuperNode does when it starts."""
    request = ActivateNodeRequest(
        public_key=public_key_to_bytes(key.public_key()), heartbeat_interval=HEARTBEAT_MIN_INTERVAL
    )
    return _call(key, "activate-node", request)


def heartbeat(key: ec.EllipticCurvePrivateKey, node: int) -> Call:
    """Say that the node is there, for as long as a SuperNode says it: a shorter word would cut off one that runs."""
    return _heartbeat(key, node, HEARTBEAT_DEFAULT_INTERVAL)


def question(key: ec.EllipticCurvePrivateKey, node: int) -> Call:
    """Ask whether a key is registered as a node, and change nothing: `NO_INTERVAL` is the answer where it is."""
    return _heartbeat(key, node, HEARTBEAT_MIN_INTERVAL / 2)


def deactivation(key: ec.EllipticCurvePrivateKey, node: int) -> Call:
    """Say that the node goes."""
    return _call(key, "deactivate-node", DeactivateNodeRequest(node_id=node))


def node_of(body: bytes) -> int:
    """Read the answer to `activation`: the node's number.

    Raises
    ------
    ValueError
        It is no such answer.
    """
    return int(_read(ActivateNodeResponse(), body).node_id)


def heard(body: bytes) -> bool:
    """Read the answer to `heartbeat`.

    Raises
    ------
    ValueError
        It is no such answer.
    """
    return bool(_read(SendNodeHeartbeatResponse(), body).success)


def error_code(body: bytes) -> int | None:
    """Give Flower's own number of an error; None where the answer is not Flower's."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    code = content.get("code") if isinstance(content, dict) else None
    return code if isinstance(code, int) else None


def _heartbeat(key: ec.EllipticCurvePrivateKey, node: int, interval: float) -> Call:
    request = SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=interval)
    return _call(key, "send-node-heartbeat", request)


def _call(key: ec.EllipticCurvePrivateKey, name: str, request: Any) -> Call:
    timestamp = now().isoformat()
    headers = {
        "content-type": PROTOBUF_MEDIA_TYPE,
        "accept": PROTOBUF_MEDIA_TYPE,
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(key.public_key())).decode(),
        TIMESTAMP_HEADER: timestamp,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key, timestamp.encode())).decode(),
    }
    headers |= dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())
    return Call(f"/v1/fleet/{name}", headers, request.SerializeToString(deterministic=True))


def _read(message: Any, body: bytes) -> Any:
    try:
        message.ParseFromString(body)
    except Exception:  # protobuf's own kind of error, which its stubs would be needed to name
        raise ValueError("not an answer of Flower's") from None
    return message
