"""The executor's side of Flower: a node that speaks the Fleet API, and stays warm.

See `aeros_flower.superlink.embedded` for the other side. Flower's own connection signals SIGINT to
its process when the SuperLink does not know it any more, and ends it when it cannot be reached;
here both are a `Lost`, after which a new `FleetClient` tries again.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import Any

from aeros_flower.http.long_polling import NODE, WAIT
from aeros_flower.http.status_codes import Ended, Lost, Unwelcome, refusal
from aeros_flower.protocol import objects
from aeros_flower.protocol.request_limits import LARGEST, Bounded
from aeros_flower.superlink.embedded import quiet
from aeros_flower.system.versions import Same, tried

__all__ = ["Ended", "FleetClient", "Lost", "Unwelcome"]

_INTERVAL = 15.0
"""Seconds between heartbeats that are promised; Flower takes a node for lost after two."""

_OVER = 403
"""The status by which a SuperLink answers a node whose run is over."""

_TRIES = 4
_AGAIN = ("PullObject", "PushMessages", "PushObject", "ConfirmMessageReceived")
"""What may be asked twice: a message that was pulled in vain is gone, though."""


class _Patience:
    """Says at each question for messages who asks, and for how long it would wait."""

    def __init__(self) -> None:
        self.node, self.seconds = 0, 0.0

    def intercept(self, context: Any, call_next: Any) -> Any:
        if context.rpc_method.endswith("/PullMessages"):
            context.request.headers[NODE] = str(self.node)
            context.request.headers[WAIT] = f"{self.seconds:g}"
        return call_next(context)


class FleetClient:
    """One node's connection to a SuperLink, from its registration to its leave.

    Args:
        address: Host and port of the SuperLink.
        insecure: Speak plain HTTP.
        root_certificates: Certificates (PEM) that vouch for the SuperLink; None: those of
            the system.
        context: What makes TLS connections in their stead.
        authentication_keys: Private and public key that the SuperLink admits; None: a pair
            made anew, which it takes only where it admits whoever comes.

    Raises:
        ConfigError: It speaks another version of Flower, or another one is installed here.
        Lost: It cannot be reached.
        Unwelcome: It refuses this node.
    """

    def __init__(
        self,
        address: str,
        *,
        insecure: bool = False,
        root_certificates: bytes | None = None,
        context: ssl.SSLContext | None = None,
        authentication_keys: tuple[Any, Any] | None = None,
    ) -> None:
        tried()
        quiet()
        from aeros_flower.system.flower_internals import (
            FleetHttpClient,
            NodeAuthHttpInterceptor,
            RuntimeVersionHttpInterceptor,
            generate_key_pairs,
            public_key_to_bytes,
        )

        private, public = authentication_keys or generate_key_pairs()
        self._patience = _Patience()
        if context is None and root_certificates is not None:
            context = ssl.create_default_context(cadata=root_certificates.decode("ascii"))
        self._client = FleetHttpClient(
            f"{'http' if insecure else 'https'}://{address}",
            verify=context or not insecure,
            interceptors=[
                self._patience,
                Same(),
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(private, public),
            ],
        )
        # what is sent is for this address alone, and not for one that it names in its stead
        http = self._client._client
        http.follow_redirects, http._transport = False, Bounded(http._transport)
        self._over = threading.Event()
        self.lost = threading.Event()
        self._registered = authentication_keys is None
        try:
            self._enter(public_key_to_bytes(public))
        except BaseException:
            self._client.close()
            raise
        threading.Thread(target=self._beat, daemon=True).start()

    def _enter(self, key: bytes) -> None:
        from aeros_flower.system.flower_internals import (
            ActivateNodeRequest,
            Node,
            RegisterNodeFleetRequest,
        )

        if self._registered:
            self._ask("RegisterNode", RegisterNodeFleetRequest(public_key=key))
        asked = ActivateNodeRequest(public_key=key, heartbeat_interval=_INTERVAL)
        self.number = int(self._ask("ActivateNode", asked).node_id)
        self._node, self._patience.node = Node(node_id=self.number), self.number

    def pull(self, seconds: float) -> Any | None:
        """Return the next message for this node; None if there is none within the time.

        Raises:
            Lost: The connection is lost.
        """
        from aeros_flower.system.flower_internals import (
            ConfirmMessageReceivedRequest,
            PullMessagesRequest,
            message_from_proto,
        )

        self._patience.seconds = seconds
        response = self._ask("PullMessages", PullMessagesRequest(node=self._node))
        if not response.messages_list:
            return None
        try:
            message = message_from_proto(response.messages_list[0])
            tree, run = response.message_object_trees[0], message.metadata.run_id
            whole = objects.fetch(self._ask, self._node, run, tree, LARGEST)
        except objects.Broken as error:
            raise Lost(str(error)) from error
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise Lost(f"a message of the controller cannot be read: {error}") from error
        confirmed = ConfirmMessageReceivedRequest(
            node=self._node, run_id=run, message_object_id=tree.object_id
        )
        self._ask("ConfirmMessageReceived", confirmed)
        whole.metadata.__dict__["_message_id"] = message.metadata.message_id
        return whole

    def push(self, content: Any, asked: Any, seconds: float) -> bool:
        """Answer a message.

        Args:
            content: The records.
            asked: The message that is answered.
            seconds: How long it took.

        Returns:
            Whether somebody still waits for it.

        Raises:
            Lost: The connection is lost.
        """
        from flwr.app import Message

        from aeros_flower.system.flower_internals import PushMessagesRequest, message_to_proto

        message = Message(content, reply_to=asked)
        with objects.apart(message) as (bare, parts, tree):
            request = PushMessagesRequest(
                node=self._node,
                messages_list=[message_to_proto(bare)],
                message_object_trees=[tree],
                clientapp_runtime_list=[seconds],
            )
            try:
                response = self._ask("PushMessages", request)
            except Unwelcome as error:
                if error.status != _OVER:
                    raise
                return False
            wanted, run = set(response.objects_to_push), message.metadata.run_id
            try:
                objects.send(self._ask, self._node, run, response.session_id, parts, wanted)
            except objects.Broken as error:
                raise Lost(str(error)) from error
        return bool(wanted)

    def _ask(self, method: str, request: Any) -> Any:
        """Ask the SuperLink; again where the line breaks and it does no harm."""
        import httpx

        left = _TRIES if method in _AGAIN else 1
        while True:
            left -= 1
            try:
                return getattr(self._client, method)(request)
            except httpx.HTTPStatusError as error:
                raise refusal(error.response, method) from error
            except ValueError as error:
                raise Lost(
                    f"what answers {method} is no SuperLink: a proxy whose controller is away?"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                if not left or self._over.wait(0.5):
                    raise Lost(f"{type(error).__name__}: {error}") from error

    def _beat(self) -> None:
        from aeros_flower.system.flower_internals import SendNodeHeartbeatRequest

        told = SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=_INTERVAL)
        while not self._over.wait(_INTERVAL / 3):
            try:
                known = self._ask("SendNodeHeartbeat", told).success
            except Lost:
                continue  # the next question for messages finds out
            if not known:
                self.lost.set()

    def close(self) -> None:
        """Leave, if the SuperLink is still there, and close the connection."""
        from aeros_flower.system.flower_internals import (
            DeactivateNodeRequest,
            UnregisterNodeFleetRequest,
        )

        self._over.set()
        with contextlib.suppress(Lost):
            self._ask("DeactivateNode", DeactivateNodeRequest(node_id=self.number))
            if self._registered:
                self._ask("UnregisterNode", UnregisterNodeFleetRequest(node_id=self.number))
        self._client.close()
