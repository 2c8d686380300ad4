"""The papers behind the methods, by the name of the estimator or of its option."""

from typing import NamedTuple

import skad

__all__ = ["OF_ESTIMATORS", "OF_OPTIONS", "SCIKIT_LEARN", "SKAD", "Paper"]


class Paper(NamedTuple):
    """What is needed to cite a paper: authors as BibTeX has them; where, if it is not on arXiv."""

    key: str
    authors: str
    title: str
    year: int
    about: str
    arxiv: str = ""
    where: str = ""

    def bibtex(self):
        """Return the entry for a .bib file."""
        fields = {"author": self.authors, "title": f"{{{self.title}}}", "year": self.year}
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"}
        else:
            fields["howpublished"] = self.where
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])

    def line(self):
        """Return one line of plain text."""
        names = self.authors.split(" and ")
        short = [_initials(name) for name in names]
        people = f"{short[0]} et al." if len(names) > 4 else ", ".join(short)
        return f"{people}, {f'arXiv:{self.arxiv}' if self.arxiv else self.where} ({self.about})"


def _initials(name):
    family, _, given = name.partition(", ")
    if not given:
        return family.strip("{}")
    initials = ["-".join(f"{piece[0]}." for piece in part.split("-")) for part in given.split()]
    return " ".join([*initials, family])


SKAD = Paper(
    "skad",
    "{the skad developers}",
    "skad: anomaly detection with scikit-learn estimators, in the coordinates you choose",
    2026,
    "this package; see CITATION.cff",
    where=f"version {skad.__version__}",
)
SCIKIT_LEARN = Paper(
    "Pedregosa2011",
    "Pedregosa, Fabian and Varoquaux, Gaël and Gramfort, Alexandre and Michel, Vincent and "
    "Thirion, Bertrand and others",
    "Scikit-learn: Machine Learning in Python",
    2011,
    "scikit-learn",
    where="Journal of Machine Learning Research 12 (2011) 2825",
)

_CWOLA = Paper(
    "Metodiev2017",
    "Metodiev, Eric M. and Nachman, Benjamin and Thaler, Jesse",
    "Classification without labels: Learning from mixed samples in high energy physics",
    2017,
    "classification without labels",
    "1708.02949",
)
_HUNTING = Paper(
    "Collins2019",
    "Collins, Jack H. and Howe, Kiel and Nachman, Benjamin",
    "Extending the search for new resonances with machine learning",
    2019,
    "extended bump hunt, CWoLa hunting",
    "1902.02634",
)
_ANODE = Paper(
    "Nachman2020",
    "Nachman, Benjamin and Shih, David",
    "Anomaly Detection with Density Estimation",
    2020,
    "ANODE",
    "2001.04990",
)
_CATHODE = Paper(
    "Hallin2021",
    "Hallin, Anna and Isaacson, Joshua and Kasieczka, Gregor and Krause, Claudius and "
    "Nachman, Benjamin and Quadfasel, Tobias and Schlaffer, Matthias and Shih, David and "
    "Sommerhalder, Manuel",
    "Classifying Anomalies THrough Outer Density Estimation (CATHODE)",
    2021,
    "CATHODE",
    "2109.00546",
)
_LACATHODE = Paper(
    "Hallin2022",
    "Hallin, Anna and Kasieczka, Gregor and Quadfasel, Tobias and Shih, David and "
    "Sommerhalder, Manuel",
    "Resonant anomaly detection without background sculpting",
    2022,
    "LaCATHODE",
    "2210.14924",
)
_SIGMA = Paper(
    "Das2024",
    "Das, Ranit and Shih, David",
    "SIGMA: Single Interpolated Generative Model for Anomalies",
    2024,
    "SIGMA",
    "2410.20537",
)
_SALAD = Paper(
    "Andreassen2020",
    "Andreassen, Anders and Nachman, Benjamin and Shih, David",
    "Simulation Assisted Likelihood-free Anomaly Detection",
    2020,
    "SALAD",
    "2001.05001",
)
_CURTAINS = Paper(
    "Raine2022",
    "Raine, John Andrew and Klein, Samuel and Sengupta, Debajyoti and Golling, Tobias",
    "CURTAINs for your Sliding Window: Constructing Unobserved Regions by Transforming "
    "Adjacent Intervals",
    2022,
    "CURTAINs",
    "2203.09470",
)
_CURTAINS_FLOWS = Paper(
    "Sengupta2023",
    "Sengupta, Debajyoti and Klein, Samuel and Raine, John Andrew and Golling, Tobias",
    "CURTAINs Flows For Flows: Constructing Unobserved Regions with Maximum Likelihood Estimation",
    2023,
    "CURTAINs by maximum likelihood",
    "2305.04646",
)
_FETA = Paper(
    "Golling2022",
    "Golling, Tobias and Klein, Samuel and Mastandrea, Radha and Nachman, Benjamin",
    "Flow-enhanced transportation for anomaly detection",
    2022,
    "FETA",
    "2212.11285",
)
_INTERPLAY = Paper(
    "Golling2023",
    "Golling, Tobias and Kasieczka, Gregor and Krause, Claudius and Mastandrea, Radha and "
    "Nachman, Benjamin and Raine, John Andrew and Sengupta, Debajyoti and Shih, David and "
    "Sommerhalder, Manuel",
    "The Interplay of Machine Learning-based Resonant Anomaly Detection Methods",
    2023,
    "combined templates",
    "2307.11157",
)
_RESIDUAL = Paper(
    "Das2023",
    "Das, Ranit and Kasieczka, Gregor and Shih, David",
    "Residual ANODE",
    2023,
    "R-ANODE",
    "2312.11629",
)
_VAE = Paper(
    "Cheng2020",
    "Cheng, Taoli and Arguin, Jean-François and Leissner-Martin, Julien and Pilette, Jacinthe "
    "and Golling, Tobias",
    "Variational Autoencoders for Anomalous Jet Tagging",
    2020,
    "variational autoencoders for jets",
    "2007.01850",
)
_COORDINATES = Paper(
    "Kasieczka2022",
    "Kasieczka, Gregor and Mastandrea, Radha and Mikuni, Vinicius and Nachman, Benjamin and "
    "Pettee, Mariel and Shih, David",
    "Anomaly Detection under Coordinate Transformations",
    2022,
    "densities in coordinates",
    "2209.06225",
)
_TREES = Paper(
    "Finke2023",
    "Finke, Thorben and Hein, Marie and Kasieczka, Gregor and Krämer, Michael and "
    "Mück, Alexander and Prangchaikul, Parada and Quadfasel, Tobias and Shih, David and "
    "Sommerhalder, Manuel",
    "Tree-based algorithms for weakly supervised anomaly detection",
    2023,
    "boosted trees for weak labels",
    "2309.13111",
)
_DISCO = Paper(
    "Kasieczka2020",
    "Kasieczka, Gregor and Shih, David",
    "DisCo Fever: Robust Networks Through Distance Correlation",
    2020,
    "decorrelation by distance correlation",
    "2001.05310",
)
_EXPOSURE = Paper(
    "Hendrycks2018",
    "Hendrycks, Dan and Mazeika, Mantas and Dietterich, Thomas",
    "Deep Anomaly Detection with Outlier Exposure",
    2018,
    "outlier exposure",
    "1812.04606",
)
_FOREST = Paper(
    "Liu2008",
    "Liu, Fei Tony and Ting, Kai Ming and Zhou, Zhi-Hua",
    "Isolation Forest",
    2008,
    "isolation forest",
    where="Eighth IEEE International Conference on Data Mining, 2008",
)
_PYOD = Paper(
    "Zhao2019",
    "Zhao, Yue and Nasrullah, Zain and Li, Zheng",
    "PyOD: A Python Toolbox for Scalable Outlier Detection",
    2019,
    "PyOD",
    "1901.01588",
)
_MAF = Paper(
    "Papamakarios2017",
    "Papamakarios, George and Pavlakou, Theo and Murray, Iain",
    "Masked Autoregressive Flow for Density Estimation",
    2017,
    "masked autoregressive flows",
    "1705.07057",
)
_SPLINES = Paper(
    "Durkan2019",
    "Durkan, Conor and Bekasov, Artur and Murray, Iain and Papamakarios, George",
    "Neural Spline Flows",
    2019,
    "neural spline flows",
    "1906.04032",
)
_CONTINUOUS = Paper(
    "Grathwohl2018",
    "Grathwohl, Will and Chen, Ricky T. Q. and Bettencourt, Jesse and Sutskever, Ilya and "
    "Duvenaud, David",
    "FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models",
    2018,
    "continuous flows",
    "1810.01367",
)

# By the name of the class; subclasses cite what their bases do.
OF_ESTIMATORS = {
    "ANODE": [_ANODE],
    "BumpHunt": [_HUNTING],
    "CATHODE": [_CATHODE],
    "CURTAINS": [_CURTAINS],
    "CWoLaDetector": [_CWOLA],
    "CombinedTemplate": [_INTERPLAY],
    "DisCo": [_DISCO, _VAE],
    "FETA": [_FETA],
    "FramedDensity": [_COORDINATES],
    "IsolationForest": [_FOREST],
    "LaCATHODE": [_LACATHODE],
    "OutlierExposure": [_EXPOSURE, _VAE],
    "PyODDetector": [_PYOD],
    "ResidualANODE": [_RESIDUAL],
    "SALAD": [_SALAD],
    "SIGMA": [_SIGMA],
    "Sidebands": [_HUNTING],
    "TreeEnsembleClassifier": [_TREES],
    "VAEDetector": [_VAE],
}
# By parameter and value.
OF_OPTIONS = {
    ("flow", "maf"): [_MAF],
    ("flow", "nsf"): [_MAF, _SPLINES],
    ("flow", "nsf_coupling"): [_SPLINES],
    ("flow", "cnf"): [_CONTINUOUS],
    ("loss", "likelihood"): [_CURTAINS_FLOWS],
}
