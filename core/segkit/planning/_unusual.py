"""What is unusual about data: said, because no setting makes up for it."""

from __future__ import annotations

from segkit.planning._choices import Draft
from segkit.planning._facts import Facts
from segkit.planning._rules import RULES

__all__ = ["note_unusual"]

_FEW_VOXELS = 100


def note_unusual(facts: Facts, draft: Draft) -> None:
    """Add notes about data that ask for a person's look."""
    found = facts.fingerprint
    sizes = found.labels.object_voxels
    if sizes is not None and not facts.partial and sizes.p95 <= 2:
        draft.note(
            f"The objects are {sizes.median:.0f} voxel in size: they mark places rather than areas. A network learns areas: draw discs "
            "of about the objects' radius around the marks first, and score detection by distance."
        )
    if found.samples < 3 and found.labels.kind in ("classes", "objects") and facts.planar:
        draft.note("There are very few images: scores of validation say little. Label a few more from elsewhere.")
    extent = found.labels.object_extent
    if found.voxel_size is None and not facts.planar and facts.compact and extent is not None:
        flatter = (extent[1].p75 + extent[2].p75) / 2 / max(extent[0].p75, 1.0)
        if not 0.67 < flatter < 1.5:
            draft.note(
                f"Objects are {flatter:.2g} times as wide as they are high, and the voxel size is not known: slices are probably "
                "thicker than voxels are wide. Give --voxel-size."
            )
    rare = [count for count in found.labels.classes if count.voxels < _FEW_VOXELS or count.samples < 3]
    if draft.get("task.classes", 2) > 2 and rare:
        listed = ", ".join(f"{count.id} ({count.voxels} voxels in {count.samples} images)" for count in rare[:6])
        draft.note(f"Some classes are very rare: {listed}. Their scores will say little; label more, or join classes.")
    digests = [row.digest for row in found.rows]
    if len(set(digests)) < len(digests):
        draft.note(
            f"{len(digests) - len(set(digests))} images are copies of others: with one in each part, validation flatters. Remove "
            "them; 'segkit analyze' lists them."
        )
    rule = RULES["dense_objects"]
    if facts.dense:
        kept = ", ".join(change.about for change in rule.changes if change.applied)
        left = ", ".join(change.about for change in rule.changes if not change.applied)
        draft.note(
            f"The rule {rule.name} fires ({facts.objects:.0f} objects an image, above {rule.above:g}). Of its changes those with "
            f"a measured reason are made ({kept}); the others are not ({left})."
        )
