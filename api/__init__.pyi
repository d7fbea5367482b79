__version__: str

from .reco.errors import ExperimentError as ExperimentError
from .reco.errors import OutputError as OutputError
from .reco.expectation import rates as rates
from .reco.experiment import Experiment as Experiment
from .reco.experiment import load as load
from .reco.experiment import shipped_experiments as shipped_experiments
from .reco.formats.shared.transfer import export_events as export_events
from .reco.formats.shared.transfer import import_events as import_events
from .reco.runs.ntuple import write as write
from .reco.runs.parts import write_parts as write_parts
from .reco.runs.run import Run as Run
from .reco.runs.run import generate as generate
from .reco.runs.run import iterate as iterate
from .reco.runs.run import plan as plan
from .reco.runs.tree import read as read
from .toys.construction.ensemble import Ensemble as Ensemble
from .toys.construction.neyman import Construction as Construction
from .toys.counts.combination import build as build
from .toys.counts.model import Data as Data
from .toys.counts.model import Model as Model
from .toys.counts.template import templates as templates
from .toys.fit.likelihood import Chi2 as Chi2
from .toys.fit.scan import Axis as Axis
from .toys.fit.scan import scan_1d as scan_1d
from .toys.fit.scan import scan_2d as scan_2d
from .toys.fit.search import search as search
