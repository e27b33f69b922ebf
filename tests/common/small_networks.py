"""Small U-Nets of both kinds, which can be pruned in quarters."""

from fedphd.common.config import ModelConfig

# Groups of 4 channels, heads of 8: ratios move in quarters.
SMALL = ModelConfig(
    name="small",
    network="unet2d",
    autoencoder=None,
    unet={
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": [16, 32],
        "norm_num_groups": 4,
        "attention_head_dim": 8,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "dropout": 0.1,
    },
)
# Widths 4, 8 and 16, heads of 8.
CONVNEXT = ModelConfig(
    name="convnext",
    network="convnext",
    autoencoder=None,
    unet={"sample_size": 8, "in_channels": 1, "out_channels": 1, "dim": 8, "dim_mults": [1, 2]}
    | {"attention_heads": 2, "attention_head_dim": 8},
)
