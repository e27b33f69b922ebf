"""The trust boundary: what a tier asks goes out through here, and only sound answers come in.

The one loop that sends, waits, checks who answered, reads, refuses what is unsound, and writes to the ledger what
became of each message. What is asked, and what makes an answer sound, a `Question` says.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.flower.delivery import Patience, deliver
from fedphd.common.flower.question import Incoming, Question
from fedphd.common.flower.sound import Sound
from fedphd.common.run.events import Accept, Lost, Refuse, Resend, Send
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.records import MessageError, check_sender
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic

M = TypeVar("M", bound=Incoming)
A = TypeVar("A")


class Boundary:
    """One node's side of a hop, towards the nodes below it.

    Parameters
    ----------
    log : HopLog
        Where what crosses the hop is written.
    rejoin : float
        Seconds for which a node may be offline before its message is given up.

    Attributes
    ----------
    patience : Patience
        For all that is sent over this hop, registration too: messages that are sent again are logged.
    """

    def __init__(self, log: HopLog, rejoin: float) -> None:
        self.log = log
        self.patience = Patience(rejoin, self._resent)
        self._open: dict[tuple[int, str], tuple[Question[Any, Any], str]] = {}  # by node and type of message

    def ask(self, grid: Grid, question: Question[M, A]) -> Iterator[Sound[A]]:
        """Ask, and yield the sound answers one by one, as they come."""
        return self.receive(question, deliver(grid, self.send(question), question.timeout, self.patience))

    def send(self, question: Question[M, A]) -> Iterator[Message]:
        """Yield the messages that are to be sent; whoever takes one sends it."""
        for peer, node in question.nodes.items():
            order = question.order(peer)
            content = order.write()
            self._open[node, question.task] = question, peer
            if order.models:
                question.down += self.log.crossed(Send, content, *order.models, **question.where(peer))
            yield Message(content, node, question.task, ttl=question.timeout, group_id=question.group)

    def receive(self, question: Question[M, A], replies: Iterable[Message]) -> Iterator[Sound[A]]:
        """Yield the sound ones of the replies to what `send` gave; write to the ledger what became of each."""
        peers = {node: peer for peer, node in question.nodes.items()}
        try:
            for reply in replies:
                peer = peers[reply.metadata.src_node_id]
                if reply.has_error():
                    question.forget(peer)
                    self._leave_out(Lost, question, peer, f"error {reply.error.code}: {reply.error.reason}")
                    continue
                try:
                    yield self._sound(question, peer, reply.content)
                except (MessageError, CodecError) as error:
                    self._leave_out(Refuse, question, peer, str(error))
        finally:
            for node in peers:
                self._open.pop((node, question.task), None)

    def _sound(self, question: Question[M, A], peer: str, content: RecordDict) -> Sound[A]:
        message = question.read(peer, content)
        check_sender(message.sender, peer)
        answer = question.check(message)
        question.confirm(peer)
        self.log.ledger.take_forwarded(peer, question.events(message))
        return Sound(peer, answer, content, self._accept(question, peer, message, content))

    def _leave_out(self, event: type[Lost | Refuse], question: Question[M, A], peer: str, reason: str) -> None:
        question.failures[peer] = reason
        self.log.write(event(**question.where(peer), reason=reason))

    def _accept(self, question: Question[M, A], peer: str, message: M, content: RecordDict) -> Traffic:
        receipt = question.receipt(message)
        if receipt is None:
            return NO_TRAFFIC
        facts, images = dict(receipt.facts), 0
        if receipt.images is not None:
            images = receipt.images if self.log.exists else 0
            facts["payload_bytes"] = images
        traffic = self.log.crossed(Accept, content, *receipt.models, **question.where(peer), **facts)
        return traffic + Traffic(bytes=images)

    def _resent(self, message: Message, reason: str) -> None:
        """Write that a message is sent again."""
        node, task = message.metadata.dst_node_id, message.metadata.message_type
        if (node, task) not in self._open:  # a registration: nobody knows yet who the node is
            self.log.write(Resend(peer=f"node {node}", reason=reason))
            return
        question, peer = self._open[node, task]
        where, models = question.where(peer), question.order(peer).models
        if models:
            self.log.crossed(Resend, message.content, *models, **where, reason=reason)
        else:
            self.log.write(Resend(**where, reason=reason))
