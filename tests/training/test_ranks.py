"""Gradients averaged over two processes equal those of one process with the whole batch."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from vocoder.training.ranks import Ranks


def gradients(rank: int, size: int, port: int, folder: str) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    ranks = Ranks("cpu")
    torch.manual_seed(0)
    network, batch = nn.Linear(6, 3), torch.randn(4, 6)
    unused = nn.Parameter(torch.zeros(2))
    network(batch[rank :: ranks.size]).square().mean().backward()
    parameters = [*network.parameters(), unused]
    ranks.average_gradients(parameters)
    torch.save([parameter.grad for parameter in parameters], f"{folder}/{size}-{rank}.pt")
    ranks.close()


def test_average_of_ranks_is_the_gradient_of_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(gradients, args=(2, port, str(tmp_path)), nprocs=2)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    gradients(0, 1, port, str(tmp_path))
    whole = torch.load(tmp_path / "1-0.pt")
    for rank in range(2):
        part = torch.load(tmp_path / f"2-{rank}.pt")
        for a, b in zip(whole[:2], part[:2], strict=True):
            assert torch.allclose(a, b, atol=1e-6)
        assert torch.equal(part[2], torch.zeros(2))
