"""FedDiffuse's U-Net: ConvNeXt blocks, with linear attention at every resolution.

It is that of Hugging Face's "The Annotated Diffusion Model", as FedDiffuse's authors' code builds
it. Its top-level modules have the names that they have in diffusers' U-Nets, and its attentions are
diffusers' own, so that what goes by these (exchange of parts, pruning) works on both networks.

Exports carry a copy of this module, so it imports nothing of ours (`fedphd.launch.export.bundle`).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor, nn

Heads = tuple[int, int]  # number of attention heads, channels of each


class ConvNextUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A U-Net of ConvNeXt blocks that predicts the noise in an image.

    The defaults are FedDiffuse's for Fashion-MNIST: 2,996,315 parameters, of which the encoder with
    time embedding and input convolution has 1,280,642, the bottleneck 999,376 and the decoder with
    output 716,297. They lead to the communicated-parameter counts N of the paper's main table.

    Parameters
    ----------
    sample_size : int
        Side of the square images in pixels; a multiple of 2^(levels - 1).
    in_channels, out_channels : int
        Channels of the images and of the prediction.
    dim : int
        Unit of the widths: the sinusoids of the time have `dim` channels and its embedding 4 `dim`;
        the input convolution has twice a third of `dim`, rounded down.
    dim_mults : Sequence[int]
        Width of each level in units of `dim`. The resolution halves from level to level.
    attention_heads, attention_head_dim : int
        Heads of each attention, and channels of each head.
    num_class_embeds : int or None
        Number of labels, whose embeddings are added to the time's, as in diffusers' U-Nets; ours. None: no labels.

    Raises
    ------
    ValueError
        If `dim` is below 4, or there is no level.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 28,  # noqa: ARG002 (read from the config)
        in_channels: int = 1,
        out_channels: int = 1,
        dim: int = 28,
        dim_mults: Sequence[int] = (1, 2, 4),
        attention_heads: int = 4,
        attention_head_dim: int = 32,
        num_class_embeds: int | None = None,
    ) -> None:
        super().__init__()
        if dim < 4:
            raise ValueError(f"dim={dim}: fewer than 2 sinusoids have no spread of frequencies")
        if not dim_mults:
            raise ValueError("dim_mults=[]: at least one level is needed")
        time, heads = 4 * dim, (attention_heads, attention_head_dim)
        first, *widths = [dim // 3 * 2, *(dim * mult for mult in dim_mults)]
        self.conv_in = nn.Conv2d(in_channels, first, 7, padding=3)
        self.time_proj = Timesteps(dim, flip_sin_to_cos=False, downscale_freq_shift=1)
        self.time_embedding = TimestepEmbedding(dim, time, act_fn="gelu")
        self.class_embedding = None if num_class_embeds is None else nn.Embedding(num_class_embeds, time)
        self.down_blocks = nn.ModuleList()
        for level, (narrow, wide) in enumerate(pairwise([first, *widths]), start=1):
            halve = nn.Conv2d(wide, wide, 4, stride=2, padding=1) if level < len(widths) else nn.Identity()
            self.down_blocks.append(Level(narrow, wide, time, heads, halve))
        self.mid_block = Bottleneck(widths[-1], time, heads)
        self.up_blocks = nn.ModuleList()
        for narrow, wide in reversed(list(pairwise(widths))):
            double = nn.ConvTranspose2d(narrow, narrow, 4, stride=2, padding=1)
            self.up_blocks.append(Level(2 * wide, narrow, time, heads, double))
        self.conv_out = nn.Sequential(ConvNextBlock(widths[0], widths[0]), nn.Conv2d(widths[0], out_channels, 1))

    def forward(self, sample: Tensor, timestep: Tensor | float, class_labels: Tensor | None = None) -> UNet2DOutput:
        """Predict the noise.

        Parameters
        ----------
        sample : Tensor
            x_t, shape (B, C, H, W).
        timestep : Tensor or float
            t: one number, or a tensor of shape (), (1,) or (B,).
        class_labels : Tensor, optional
            Shape (B,); needed if there are `num_class_embeds`.

        Returns
        -------
        UNet2DOutput
            Its `sample` is the prediction, shape (B, C, H, W).
        """
        t = torch.as_tensor(timestep, device=sample.device).expand(len(sample))
        # The sinusoids are computed in float32, whatever the weights are.
        embedding = self.time_embedding(self.time_proj(t).to(self.dtype))
        if self.class_embedding is not None:
            embedding = embedding + self.class_embedding(class_labels)
        x, skips = self.conv_in(sample), []
        for block in self.down_blocks:
            features, x = block(x, embedding)
            skips.append(features)
        x = self.mid_block(x, embedding)
        for block in self.up_blocks:  # one fewer than there are skips: the first is not used
            _, x = block(torch.cat([x, skips.pop()], dim=1), embedding)
        return UNet2DOutput(sample=self.conv_out(x))


class ConvNextBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) with 3x3 instead of 1x1 convolutions, told the time.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after; in between it is twice as wide as after.
    time_channels : int, optional
        Channels of the time embedding; without, the block is not told the time.
    """

    def __init__(self, in_channels: int, out_channels: int, time_channels: int | None = None) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
        self.time_emb_proj = nn.Linear(time_channels, in_channels) if time_channels else None
        self.norm1 = nn.GroupNorm(1, in_channels)
        self.conv1 = nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(1, 2 * out_channels)
        self.conv2 = nn.Conv2d(2 * out_channels, out_channels, 3, padding=1)
        self.activation = nn.GELU()
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Map (B, in_channels, H, W) and the time embedding (B, time_channels) to (B, out_channels, H, W)."""
        h = self.depthwise(x)
        if self.time_emb_proj is not None and embedding is not None:
            h = h + self.time_emb_proj(self.activation(embedding))[:, :, None, None]
        h = self.activation(self.conv1(self.norm1(h)))
        h = self.conv2(self.norm2(h))
        return h + self.conv_shortcut(x)  # type: ignore[no-any-return]


class LinearAttention(nn.Module):
    """Attention whose cost is linear in the number of pixels (Shen et al. 2021), with its residual connection.

    Parameters
    ----------
    channels : int
        Channels before and after.
    heads : tuple[int, int]
        Number of heads, and channels of each.
    """

    def __init__(self, channels: int, heads: Heads) -> None:
        super().__init__()
        self.attention = Attention(
            channels, heads=heads[0], dim_head=heads[1], norm_num_groups=1, processor=_LinearProcessor()
        )
        self.norm_out = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        # In this order: torch-pruning names the heads' channels by `to_out`, and would name those of this
        # sum by it too if the attention came last; then it would prune only one of the two.
        return self.norm_out(self.attention(x)) + x  # type: ignore[no-any-return]


class _LinearProcessor:
    """How diffusers' `Attention` computes linear attention, without masks or other tokens to look at."""

    def __call__(
        self,
        attention: Attention,
        x: Tensor,
        encoder_hidden_states: None = None,  # noqa: ARG002 (diffusers' interface)
        attention_mask: None = None,  # noqa: ARG002
    ) -> Tensor:
        tokens = attention.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (
            projection(tokens).unflatten(-1, (attention.heads, -1)).transpose(1, 2)  # (B, heads, pixels, d)
            for projection in (attention.to_q, attention.to_k, attention.to_v)
        )
        context = k.softmax(dim=-2).transpose(-2, -1) @ v  # (B, heads, d, d)
        h = q.softmax(dim=-1) * attention.scale @ context
        h = attention.to_out[0](h.transpose(1, 2).flatten(2))
        return h.transpose(1, 2).unflatten(-1, x.shape[-2:])  # type: ignore[no-any-return]


class Level(nn.Module):
    """What stands at one resolution, going down or up, and the way to the next.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after; going up, the skip's are among those before.
    time_channels : int
        Channels of the time embedding.
    heads : tuple[int, int]
        Number of attention heads, and channels of each.
    sampler : nn.Module
        Halves or doubles the resolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, time_channels: int, heads: Heads, sampler: nn.Module
    ) -> None:
        super().__init__()
        self.block1 = ConvNextBlock(in_channels, out_channels, time_channels)
        self.block2 = ConvNextBlock(out_channels, out_channels, time_channels)
        self.attention = LinearAttention(out_channels, heads)
        self.sampler = sampler

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Give the features at this resolution, and these at the next."""
        features = self.attention(self.block2(self.block1(x, embedding), embedding))
        return features, self.sampler(features)


class Bottleneck(nn.Module):
    """Two ConvNeXt blocks around full attention, at the lowest resolution.

    Parameters
    ----------
    channels, time_channels : int
        Channels before and after, and of the time embedding.
    heads : tuple[int, int]
        Number of attention heads, and channels of each.
    """

    def __init__(self, channels: int, time_channels: int, heads: Heads) -> None:
        super().__init__()
        self.block1 = ConvNextBlock(channels, channels, time_channels)
        self.attention = Attention(
            channels, heads=heads[0], dim_head=heads[1], norm_num_groups=1, residual_connection=True
        )
        self.block2 = ConvNextBlock(channels, channels, time_channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the bottleneck's feature map, of the same shape."""
        return self.block2(self.attention(self.block1(x, embedding)), embedding)  # type: ignore[no-any-return]
