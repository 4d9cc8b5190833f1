"""Models for elsewhere: PyTorch, for what outgrows this machine, and ONNX, for any runtime (§2.3, §10).

A trained or untrained `MLP` becomes a `torch.nn.Sequential` with the same weights and outputs, and comes
back; its optimizer goes along where PyTorch has the same rule. From there on it is PyTorch: other devices,
several processes, several machines. Here two processes have one half of the batch each, and their averaged
gradient is that of the whole batch (start it with `torchrun --nproc-per-node 2 train.py`):

```python
import torch
from torch.nn.parallel import DistributedDataParallel

from micrograd_mlp import MLP, SGD, datasets, export

torch.distributed.init_process_group("gloo")
rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()

model = MLP(4, [8, 3], activation="tanh", seed=0)
network = DistributedDataParallel(export.to_torch(model))
optimizer = export.to_torch_optimizer(SGD(model.parameters(), lr=0.1), network)
X, y = datasets.iris()
X, y = torch.tensor(X, dtype=torch.float64)[rank::processes], torch.tensor(y)[rank::processes]

for step in range(5):
    loss = torch.nn.functional.cross_entropy(network(X), y)
    optimizer.zero_grad()
    loss.backward()  # averages the gradients of all processes
    optimizer.step()

if rank == 0:
    export.from_torch(network.module).save("trained.json")
torch.distributed.destroy_process_group()
```

Losses have to be chosen with care, since PyTorch's differ in factors:

- `squared_error` is ½(ŷ - y)², summed over an example's outputs (§4.1); `torch.nn.MSELoss` has no ½ and
  averages over the outputs too. Ours for a batch is `0.5 * MSELoss(reduction="sum")(y_hat, y) / batch_size`.
- `cross_entropy` and `binary_cross_entropy_with_logits`, averaged over the batch, are PyTorch's.

Needs an extra: pip install "micrograd_mlp[torch]" or pip install "micrograd_mlp[onnx]".
"""

from micrograd_mlp.export.onnx import to_onnx
from micrograd_mlp.export.source import to_jax, to_source
from micrograd_mlp.export.torch import from_torch, to_torch, to_torch_optimizer

__all__ = ["from_torch", "to_jax", "to_onnx", "to_source", "to_torch", "to_torch_optimizer"]
