"""What trains a U-Net and draws from it: the diffusion process, its loss, the loop, the sampler, and their seeds."""
