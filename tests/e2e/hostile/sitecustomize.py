"""Makes the ClientApp of a process that has this folder on its path answer wrongly, otherwise in each edge round."""

import os
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def _spoil(messages: ModuleType) -> None:
    import numpy as np
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    write = messages.ClientUpdate.write

    def spoiled(update: Any) -> RecordDict:
        content = write(update)
        vector = np.array(update.model.vector)
        match os.environ["HOSTILE_WAYS"].split(",")[update.edge_round]:
            case "garbage":
                return RecordDict({"rubbish": ConfigRecord({"what": b"\x80\x04garbage"})})
            case "not_finite":
                vector[len(vector) // 2] = np.nan
                content["model"] = ArrayRecord({"vector": Array(vector)})
            case "other_structure":
                content["structure"] = ConfigRecord({"id": "0" * 16, "tensors": '[["w", [1]]]'})
            case "too_large":
                content["model"] = ArrayRecord({"vector": Array(np.tile(vector, 10))})
            case "silent":
                time.sleep(3600)
        return content

    messages.ClientUpdate.write = spoiled


class _Watch(MetaPathFinder):
    """Spoils `common.messages` when it has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "common.messages":
            return None
        sys.meta_path.remove(self)
        import common.messages

        _spoil(common.messages)
        return common.messages.__spec__


if "HOSTILE_WAYS" in os.environ:
    sys.meta_path.insert(0, _Watch())
