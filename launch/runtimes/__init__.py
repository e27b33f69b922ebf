"""The ways to run: in this process, in Flower's Ray simulation, in processes on loopback, in a deployment."""
