"""Train on a Ray cluster: two workers share each batch, and learn what one process learns.

python examples/11_ray_train.py [WORKERS] [OUT]       (0 workers: this process alone, to compare)

It needs `pip install "streamrnn[ray]" "ray[train]"`. Folders must be at the same place on all nodes. Run it again to go
on after a worker, a node or this program has died.
"""

import json
import socket
import sys
from pathlib import Path

WORDS = Path(__file__).resolve().parents[1] / "audio_samples" / "two_words"

workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
out = Path(sys.argv[2] if len(sys.argv) > 2 else "runs/ray").resolve()


def join(workers: int) -> None:
    """Joins workers without GPUs to one JAX program, before anything else uses JAX. Ray joins those that have some."""
    import ray
    from ray.train import collective, get_context

    from streamrnn.learning.devices import join_processes

    rank, place = get_context().get_world_rank(), None
    if rank == 0:
        with socket.create_server(("", 0)) as free:
            place = f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"
    join_processes(collective.broadcast_from_rank_zero(place), workers, rank)


def work(config: dict) -> None:
    """What each worker does: all make the same batches, each computes its rows, and the first one writes."""
    if config["workers"]:
        join(config["workers"])
    from streamrnn.learning import TrainingSettings
    from streamrnn.recipes import KeywordsRecipe, KeywordsTraining
    from streamrnn.recipes.train import train

    training = TrainingSettings(steps=20, warmup_steps=5, validate_every=20, log_every=5)
    recipe = KeywordsRecipe([Path(config["words"])], KeywordsTraining(training=training, batch_size=16))
    train(recipe, "keywords", Path(config["out"]))


config = {"workers": workers, "words": str(WORDS), "out": str(out)}
if workers:
    import ray
    from ray.train import ScalingConfig
    from ray.train.v2.jax import JaxTrainer

    ray.init(runtime_env={"env_vars": {"JAX_PLATFORMS": "cpu"}}, log_to_driver=False)
    JaxTrainer(work, train_loop_config=config, scaling_config=ScalingConfig(num_workers=workers)).fit()
else:
    work(config)
rows = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
print("losses: " + ", ".join(f"{row['loss']:.6f}" for row in rows if "loss" in row))
