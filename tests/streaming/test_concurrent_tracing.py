"""Tracing changes torch while it runs: other threads must not notice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from vocoder.streaming.tracing import symbolic_trace


class Slow(nn.Module):
    """A network whose forward waits until something else has been computed."""

    def __init__(self, computed: threading.Event) -> None:
        super().__init__()
        self.layer = nn.Conv1d(1, 1, 1)
        self.tracing, self.computed = threading.Event(), computed

    def forward(self, x: Tensor) -> Tensor:
        self.tracing.set()
        self.computed.wait(10)
        y: Tensor = self.layer(x)
        return y


def test_a_network_runs_while_another_thread_traces_one() -> None:
    computed = threading.Event()
    slow, other = Slow(computed), nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    x = torch.randn(2, 3)
    expected = other(x)
    with ThreadPoolExecutor(1) as pool:
        traced = pool.submit(symbolic_trace, slow)
        assert slow.tracing.wait(10)
        try:
            made = other(x)
        finally:
            computed.set()
        graph = traced.result()
    assert torch.equal(made, expected)
    assert torch.equal(graph(x[:, None]), slow.layer(x[:, None]))


def test_threads_trace_one_after_another() -> None:
    networks = [nn.Sequential(nn.Conv1d(1, 1, 1), nn.Tanh()) for _ in range(24)]
    x = torch.randn(1, 1, 4)
    with ThreadPoolExecutor(4) as pool:
        graphs = list(pool.map(symbolic_trace, networks))
    for graph, network in zip(graphs, networks, strict=True):
        assert torch.equal(graph(x), network(x))
    assert nn.Module.__call__.__qualname__ == "Module._wrapped_call_impl"
