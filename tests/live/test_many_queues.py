"""A server that is used all day: 60 queues, each a sampling of its own."""

import copy

import psutil
import pytest

QUEUES, SETTLED = 60, 30


@pytest.mark.long
def test_memory_is_flat_over_many_queues(live):
    prompt = live.workflow("03 Heatmaps (demo)")
    by_class = {content["class_type"]: content["inputs"] for content in prompt.values()}
    by_class["EmptySD3LatentImage"] |= {"width": 128, "height": 128}
    by_class["KSampler"] |= {"steps": 2}
    server = psutil.Process(live.process.pid)
    memory = []

    async def queue_all(client):
        for number in range(QUEUES):
            by_class["KSampler"]["seed"] = 1000 + number
            result = await client.queue(copy.deepcopy(prompt))
            assert any(prompt[node]["class_type"] == "KSampler" for node in result.executed)
            memory.append(server.memory_info().rss / 2**20)

    live.do(queue_all)
    print(f"{memory[0]:.0f} MB after the first queue, {memory[SETTLED]:.0f} MB after {SETTLED}, {memory[-1]:.0f} MB after {QUEUES}")
    assert memory[-1] - memory[SETTLED] < 24
