"""The touches of Flower that are not its public API. flwr is pinned to the version they were tried on."""

from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity


def set_message_id(message: Message, message_id: str) -> None:
    """Give a message its id, as Flower's own grids do on pushing; needed by every grid of ours."""
    message.metadata.__dict__["_message_id"] = message_id


def assume_task_identity() -> None:
    """Let `Message(...)` be called outside of a Flower task: a task id, run id and node id of 1."""
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = 1
    TaskIdentity.node_id = 1
