"""What Ray runs in its processes."""

import os
import pickle


class Worker:
    """ComfyUI is imported, on a GPU or on the processor, and what a command has to do is made, both once, with the first share."""

    def __init__(self, make: bytes, on_gpu: bool, folder: str):
        self.make, self.work = make, None
        os.environ["ON_GPU"] = "1" if on_gpu else ""
        os.chdir(folder)

    def do(self, share):
        if self.work is None:
            import in_comfyui  # noqa: F401

            self.work = pickle.loads(self.make)()
        return self.work(share)
