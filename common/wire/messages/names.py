"""The types of messages, as Flower routes them to the apps' functions."""

REGISTER = "query.register"
TRAIN = "train"
LOCAL = "train.local"  # a model of each client's own, for the root's auxiliary images
DRAW = "evaluate"  # images that each client's model draws
ASSESS = "evaluate.assess"  # how good a model is for the images of each client's own
FETCH = "query.fetch"  # the root fetches from an edge what one client gave
TASKS = {LOCAL: "local", DRAW: "draw", ASSESS: "assess"}  # names of errands in the ledger
END = "query.end"  # the root tells its edges that the run is over
