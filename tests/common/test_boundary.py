"""The trust boundary: what goes out counts, only sound answers come in, and the ledger tells what became of each."""

from collections.abc import Sequence

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from helpers import download, events, exact, packed

from fedphd.common.flower.boundary import Boundary
from fedphd.common.flower.delivery import NODE_GONE
from fedphd.common.flower.expected import Expected, ExpectedDrawing, ExpectedModel
from fedphd.common.flower.question import Question, Receipt
from fedphd.common.flower.sound import Sound
from fedphd.common.run.events import Event, Restart
from fedphd.common.run.hop_log import HopLog
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import DRAW, LOCAL, ClientErrand, ClientUpdate, Drawing, Fetch, content_bytes
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic

MODEL = packed(1.0, 2.0)
NODES = {"client-1": 7, "client-0": 5}
IMAGES = np.zeros((3, 1, 2, 2), np.uint8)


class Asked(Question):  # type: ignore[type-arg]
    """Asks for a model, or for images, and notes whom it may rely on."""

    def __init__(self, expected: Expected, order: ClientErrand | Fetch, events: Sequence[Event] = ()) -> None:  # type: ignore[type-arg]
        super().__init__(LOCAL, NODES, 20.0, "3.4")
        self.expected, self.asked, self.forwarded = expected, order, events
        self.notes: list[tuple[str, str]] = []

    def order(self, peer: str) -> ClientErrand | Fetch:
        return self.asked

    def where(self, peer: str) -> dict[str, object]:
        return {"round": 3, "peer": peer}

    def read(self, peer: str, content: RecordDict) -> object:
        return self.expected.read(content)

    def check(self, message: object) -> object:
        return self.expected.check(message)

    def receipt(self, message: object) -> Receipt | None:
        return self.expected.receipt(message)

    def events(self, message: object) -> Sequence[Event]:
        return self.forwarded

    def confirm(self, peer: str) -> None:
        self.notes.append(("confirm", peer))

    def forget(self, peer: str) -> None:
        self.notes.append(("forget", peer))


def errand() -> ClientErrand:
    return ClientErrand(download(MODEL), "edge-0", 3, 4)


def asked(events: Sequence[Event] = ()) -> Asked:
    return Asked(ExpectedModel(MODEL.structure), errand(), events)


def update(client: str, model: CodedModel | None = None) -> RecordDict:
    return ClientUpdate(model or exact(MODEL), client, 4, 10, 0.5, 1.5).write()


def boundary(ledger: Ledger, exists: bool = True) -> Boundary:
    log = HopLog(ledger, "access", "edge-0", exists=exists)
    return Boundary(log, 1.0)


def received(
    ledger: Ledger, question: Asked, exists: bool = True, **answers: RecordDict | Error
) -> list[Sound[object]]:
    """Let the named clients answer; `client_0` is client-0."""
    messages = {message.metadata.dst_node_id: message for message in boundary(ledger).send(question)}
    replies = [Message(one, reply_to=messages[NODES[name.replace("_", "-")]]) for name, one in answers.items()]
    return list(boundary(ledger, exists).receive(question, replies))


# --- out --------------------------------------------------------------------------------------------


def test_what_goes_out_is_addressed_logged_and_counted(ledger: Ledger) -> None:
    question = asked()
    sent = list(boundary(ledger).send(question))
    assert [message.metadata.dst_node_id for message in sent] == [7, 5]  # in the order of the question
    assert {(one.metadata.message_type, one.metadata.ttl, one.metadata.group_id) for one in sent} == {
        (LOCAL, 20.0, "3.4")
    }
    assert [(event["peer"], event["round"], event["payload_bytes"]) for event in events(ledger, "send")] == [
        ("client-1", 3, 8),
        ("client-0", 3, 8),
    ]
    assert {event["encoded_bytes"] for event in events(ledger)} == {content_bytes(errand().write())}
    assert question.down == Traffic(2, 4, 16)


def test_what_brings_no_model_does_not_count(ledger: Ledger) -> None:
    question = Asked(ExpectedModel(MODEL.structure), Fetch(LOCAL, 3, "client-0"))
    assert len(list(boundary(ledger).send(question))) == 2
    assert (events(ledger), question.down) == ([], NO_TRAFFIC)


# --- in ---------------------------------------------------------------------------------------------


def test_sound_answers_come_in_as_they_come(ledger: Ledger) -> None:
    question = asked()
    content = update("client-0")
    first, second = received(ledger, question, client_0=content, client_1=update("client-1"))
    assert (first.peer, second.peer) == ("client-0", "client-1")
    assert first.answer.hash == MODEL.hash  # type: ignore[attr-defined]
    assert first.content is content and first.traffic == Traffic(1, 2, 8)
    told = [(one["peer"], one["samples"], one["loss"], one["seconds"]) for one in events(ledger, "accept")]
    assert told == [("client-0", 10, 0.5, 1.5), ("client-1", 10, 0.5, 1.5)]
    assert question.notes == [("confirm", "client-0"), ("confirm", "client-1")]
    assert question.failures == {}


def test_answers_are_handed_out_one_by_one(ledger: Ledger) -> None:
    question = asked()
    messages = list(boundary(ledger).send(question))
    answers = (Message(update(name), reply_to=message) for name, message in zip(NODES, messages, strict=True))
    sound = boundary(ledger).receive(question, answers)
    assert next(sound).peer == "client-1"
    assert len(events(ledger, "accept")) == 1


def test_who_does_not_answer_may_have_lost_what_it_had(ledger: Ledger) -> None:
    question = asked()
    [sound] = received(ledger, question, client_1=Error(NODE_GONE, "offline"), client_0=update("client-0"))
    assert sound.peer == "client-0"
    [lost] = events(ledger, "lost")
    assert (lost["peer"], lost["round"], lost["reason"]) == ("client-1", 3, f"error {NODE_GONE}: offline")
    assert question.failures == {"client-1": f"error {NODE_GONE}: offline"}
    assert question.notes == [("forget", "client-1"), ("confirm", "client-0")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (update("client-0"), "comes from 'client-0'"),
        (RecordDict(), "no ConfigRecord 'report'"),
        (update("client-1", exact(packed(1.0))), "instead of"),
        (update("client-1", CodedModel(MODEL.structure, "float32", None, False, b"")), "has 0 bytes instead of 8"),
    ],
)
def test_what_is_unsound_is_refused(ledger: Ledger, content: RecordDict, reason: str) -> None:
    """Who sent it got its message, and is not relied on for more than before."""
    question = asked([{"event": "lost"}])
    assert received(ledger, question, client_1=content) == []
    [refused] = events(ledger, "refuse")
    assert refused["peer"] == "client-1" and reason in str(refused["reason"])
    assert question.failures == {"client-1": refused["reason"]}
    assert (question.notes, events(ledger, "accept", "lost")) == ([], [])


def test_events_of_the_senders_own_ledger_come_in_with_a_sound_answer(ledger: Ledger) -> None:
    question = asked([Restart(time=1.0, round=1, edge_round=0)])
    assert len(received(ledger, question, client_0=update("client-0"))) == 1
    [restart] = events(ledger, "restart")
    assert restart["node"] == "client-0"


@pytest.mark.parametrize(("exists", "counted"), [(True, IMAGES.nbytes), (False, 0)])
def test_images_count_where_there_is_a_network(ledger: Ledger, exists: bool, counted: int) -> None:
    question = Asked(ExpectedDrawing(IMAGES.shape), Fetch(DRAW, 3, "client-0"))
    [sound] = received(ledger, question, exists, client_0=Drawing("client-0", IMAGES, True).write())
    assert sound.traffic == Traffic(int(exists), 0, counted)
    [accepted] = events(ledger, "accept")
    assert (accepted["payload_bytes"], accepted["trained"]) == (counted, True)


# --- again ------------------------------------------------------------------------------------------


def test_a_message_that_is_sent_again_is_logged_as_the_first_time(ledger: Ledger) -> None:
    question, one = asked(), boundary(ledger)
    [message, _] = one.send(question)
    one.patience.resent(message, "the node was restarted")
    [resend] = events(ledger, "resend")
    assert resend == {**events(ledger, "send")[0], "event": "resend", "reason": "the node was restarted"}
    assert question.down == Traffic(2, 4, 16)


def test_a_fetch_that_is_sent_again_brings_no_model_either(ledger: Ledger) -> None:
    one = boundary(ledger)
    [message, _] = one.send(Asked(ExpectedModel(MODEL.structure), Fetch(LOCAL, 3, "client-0")))
    one.patience.resent(message, "why")
    [resend] = events(ledger)
    assert (resend["peer"], resend["round"], "hop" in resend) == ("client-1", 3, False)


@pytest.mark.parametrize("task", ["local", "draw"])
def test_an_errand_that_is_sent_again_names_its_task(ledger: Ledger, task: str) -> None:
    class Named(Asked):
        def where(self, peer: str) -> dict[str, object]:
            return {**super().where(peer), "task": task}

    one = boundary(ledger)
    for order in (errand(), Fetch(LOCAL, 3, "client-0")):
        message = next(iter(one.send(Named(ExpectedModel(MODEL.structure), order))))
        one.patience.resent(message, "why")
    assert [event["task"] for event in events(ledger, "resend")] == [task, task]


def test_what_is_sent_again_and_belongs_to_no_question(ledger: Ledger) -> None:
    """A registration; and once all have answered, nothing of the question is held."""
    question, one = asked(), boundary(ledger)
    messages = list(one.send(question))
    list(one.receive(question, [Message(update(name), reply_to=m) for name, m in zip(NODES, messages, strict=True)]))
    one.patience.resent(messages[0], "why")
    assert events(ledger, "resend") == [
        {"event": "resend", "tier": "edge", "node": "edge-0", "peer": "node 7", "reason": "why"}
    ]
