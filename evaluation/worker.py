"""In a process of Ray's: a model that is loaded, and what it has to do with one picture after the other."""

from .judging import Judge
from .models import Files, depth_of, load
from .results import Row
from .sheets import Strip, as_png


class Judging:
    """A data set's picture → its results; the first job.sheets of all come with a strip for the contact sheets."""

    def __init__(self, job):
        model, clip, vae = load(Files(**job.model))
        self.job, self.judge = job, Judge(model, clip, vae, job.open_data())
        self.variants = job.variants(depth_of(model))

    def __call__(self, index: int) -> Row:
        data = self.judge.data
        sample = data.read(index)
        if self.job.search:
            return {"id": sample.id, "variants": self.judge.count(sample, self.variants)}, {}
        strip = Strip(sample, data.classes) if index < self.job.sheets else None
        results = self.judge.judge(sample, self.variants, strip.look if strip else lambda *args: None)
        files = {f"strips/{index:06}.png": as_png(strip.row())} if strip else {}
        return {"id": sample.id, "variants": results}, files
