"""Makes the ClientApp of a process that has this folder on its path answer wrongly, otherwise in each edge round."""

import os
import time


def spoil() -> None:
    """Replace how updates are written by the ways that HOSTILE_WAYS names, one for each edge round."""
    import numpy as np
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    from fedphd.common.wire.messages import ClientUpdate

    write = ClientUpdate.write

    def with_numbers(vector: np.ndarray) -> ArrayRecord:
        return ArrayRecord({"weights": Array("float32", vector.shape, "fedphd.float32", vector.tobytes())})

    def spoiled(update: ClientUpdate) -> RecordDict:
        content = write(update)
        vector = np.array(update.model.decode().vector)
        match os.environ["HOSTILE_WAYS"].split(",")[update.edge_round]:
            case "garbage":
                return RecordDict({"rubbish": ConfigRecord({"what": b"\x80\x04garbage"})})
            case "not_finite":
                vector[len(vector) // 2] = np.nan
                content["model"] = with_numbers(vector)
            case "other_structure":
                content["structure"] = ConfigRecord({"id": "0" * 16})
            case "too_large":
                content["model"] = with_numbers(np.tile(vector, 10))
            case "silent":
                time.sleep(3600)
        return content

    ClientUpdate.write = spoiled


if "HOSTILE_WAYS" in os.environ:
    spoil()
