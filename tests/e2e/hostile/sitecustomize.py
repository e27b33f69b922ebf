"""Makes the ClientApp of a process that has this folder on its path answer wrongly, otherwise in each edge round."""

import os
import time


def spoil() -> None:
    """Replace how updates are written by the ways that HOSTILE_WAYS names, one for each edge round."""
    import numpy as np
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    from common.messages import ClientUpdate

    write = ClientUpdate.write

    def spoiled(update: ClientUpdate) -> RecordDict:
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

    ClientUpdate.write = spoiled


if "HOSTILE_WAYS" in os.environ:
    spoil()
