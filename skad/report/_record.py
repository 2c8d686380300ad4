"""What every report says of its origin: settings, data, warnings, versions, how to cite."""

from skad.report._document import Section, Table

__all__ = ["record_sections"]


def record_sections(content):
    """Return the sections on settings, data, warnings, versions, timings and how to cite."""
    record = content["record"]
    sections = []
    if record.get("warnings"):
        rows = [[each["category"], each["count"], each["message"]] for each in record["warnings"]]
        table = Table("Warnings of the fits", ["kind", "times", "message"], rows)
        sections.append(Section("Warnings", tables=[table]))
    if record.get("settings"):
        sections.append(Section("Settings", code=record["settings"].rstrip()))
    tables = []
    for name, caption in (("data", "Data"), ("timings", "Seconds")):
        if record.get(name):
            rows = [[key, value] for key, value in record[name].items()]
            tables.append(Table(caption, ["what", "value"], [_flat(row) for row in rows]))
    rows = [[name, version] for name, version in content["versions"].items()]
    if "seed" in record:
        rows.append(["random_state", record["seed"]])
    tables.append(Table("Versions and seed", ["what", "value"], rows))
    sections.append(Section("Data, versions, timings", tables=tables))
    bibtex = "\n\n".join(content["bibtex"])
    sections.append(Section("How to cite", text=content["citations"], code=bibtex))
    return sections


def _flat(row):
    return [", ".join(map(str, value)) if isinstance(value, list) else value for value in row]
