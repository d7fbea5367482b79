"""A format of one's own, which `test_plugin_format` puts beside those of nuspill."""

import numpy as np

NAME = "lines"
DESCRIPTION = "text, ns since the run start and e_reco"
EXTRA = ""
REQUIRES = ()
NEEDS = ("pulse", "time", "e_reco")
KEEPS = "pulse, time to a ns, e_reco"
LOSES = "truth, module, place, experiment"
PLACES = "file"
DEFAULT = None

FIRST = "time_ns,e_reco\n"
STEP = 1 << 20


def recognise(path):
    """Whether the first line is that of this format."""
    with path.open("rb") as file:
        return file.read(len(FIRST)) == FIRST.encode()


def write(sample, path):
    """Write a line an event."""
    events = 0
    with path.open("w") as file:
        file.write(FIRST)
        for block in sample.blocks(NEEDS):
            rows = zip(sample.ticks(block, 1).tolist(), block["e_reco"].tolist(), strict=True)
            file.writelines(f"{time},{energy!r}\n" for time, energy in rows)
            events += len(block["pulse"])
    return events


def read(source):
    """Events of a file, of which the first line is checked here too: --from skips `recognise`."""
    with source.path.open() as file:
        if file.readline(len(FIRST)) != FIRST:
            raise source.wrong(f"does not begin with {FIRST.strip()}")
        while lines := file.readlines(STEP):
            cells = [line.split(",") for line in lines]
            pulse, time = source.split(np.array([int(ticks) for ticks, _ in cells]), 1)
            energy = np.array([float(energy) for _, energy in cells])
            yield {"pulse": pulse, "time": time, "e_reco": energy}
