"""Make collections alike, for `trust init` and the Python API: what is there is compared and completed.

1. compare   a collection that is there already is as it shall be, or is told what differs, and left alone
2. create    one that is not there; what an earlier attempt has left undone is done
3. signers   one publish for each that is missing
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trustcli.commands.support.compromised import refuse_compromised
from trustcli.commands.support.creation import create, decide_recovery
from trustcli.commands.support.creation import plan as plan_creation
from trustcli.commands.support.key_source import SessionKeys
from trustcli.commands.support.planning import Planning, current
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.recovery_place import recovery_public
from trustcli.commands.support.template import Comparison, Template, compare
from trustcli.publish.bulk.work import Done
from trustcli.publish.effects import check_same_releases
from trustcli.publish.plan import Plan
from trustcli.publish.publisher import Edit
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.errors import CollectionExists, shown
from trustdata.gun import GUN
from trustdata.roles import ROOT, signer_role
from trustdata.wire import WireFormat


class Making:
    """Make collections after one template. `alike`: one that is as it shall be has nothing to do."""

    def __init__(self, session: Session, template: Template, *, alike: bool) -> None:
        self._session = session
        self._template = template
        self._alike = alike
        self._source = SessionKeys(session)

    def make(self, gun: GUN) -> Done:
        """Make one collection, or what is missing in it.

        Raises: CollectionExists (it is there, and not to be made alike or different), UsageError, KeysError,
        KeyCompromised, PublishRefused, NotTrusted, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
        """
        session, template = self._session, self._template
        self._check_signers()
        created = not self._is_known(gun)
        if created:
            create(
                session,
                gun,
                decide_recovery(session, template.recovery),
                wire=template.wire,
                root_keys=template.root_keys,
                threshold=template.threshold,
                source=self._source,
            )
        collection = session.collection(gun)
        missing = template.signers
        if not created or template.signers:
            found = self._compared(gun, collection.owner_roles())
            missing = {name: template.signers[name] for name in found.missing}
        for name in missing:
            publisher = session.publisher(collection, session.held_keys())
            outcome = publisher.publish(self._adding(name, collection.wire), check_same_releases)
            now = session.collection(gun).verify_published(outcome.uploads).roles()
            there = signer_role(name) in repository_editor.signers_of(now)
            check_visible(there, server=collection.server.name, what=f"signer {name} of {gun}")
        pin = str(session.pins.load()[session.real_name(gun)].pin)
        row = {"pin": pin, "format": collection.wire.name, "signers": list(template.signers)}
        if not created and not missing:
            return Done(changed=False, note=f"{gun} is as it shall be: nothing to do", row=row)
        return Done(lines=(f"{gun}\t{pin}" if self._alike else pin,), row=row)

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `make` would publish, in order."""
        template = self._template
        self._check_signers()
        if self._is_known(gun):
            collection = planning.collection(gun)
            state = current(collection)
            missing = self._compared(gun, state.roles).missing
            plans: list[Plan] = [] if missing else [Plan(gun=gun, places={}, note="it is as it shall be")]
        else:
            collection = planning.collection(gun, wire=template.wire)
            created = plan_creation(
                self._session,
                planning,
                gun,
                decide_recovery(self._session, template.recovery),
                wire=template.wire,
                root_keys=template.root_keys,
                threshold=template.threshold,
            )
            if created.after is None or not created.after.roles:
                return [created.plan]
            plans, state, missing = [created.plan], created.after, tuple(template.signers)
        for name in missing:
            before = state
            planned = planning.plan(
                collection,
                self._adding(name, collection.wire),
                planning.keys.held_keys(),
                read=lambda before=before: before,  # type: ignore[misc]
                check=check_same_releases,
            )
            plans.append(planned.plan)
            if planned.after is None:
                break
            state = planned.after
        return plans

    def _check_signers(self) -> None:
        """Refuse a signer's key that was removed as compromised, before anything is made. Raises: KeyCompromised."""
        for keys in self._template.signers.values():
            for key in keys:
                refuse_compromised(self._session, key)

    def _is_known(self, gun: GUN) -> bool:
        """Return whether a collection is there that is compared: else it is created, or refused as always."""
        return self._alike and self._session.collection(gun, wire=self._format(gun)).known_by() is not None

    def _format(self, gun: GUN) -> WireFormat | None:
        return None if gun in self._session.pins.load() else self._template.wire

    def _adding(self, name: str, wire: WireFormat) -> Edit:
        terms = EditTerms.of(wire, at=self._session.at)
        keys = [wire.encode_key(key) for key in self._template.signers[name]]

        def edit(roles: OwnerRoles) -> Contents:
            there = signer_role(name) in repository_editor.signers_of(roles)
            return {} if there else repository_editor.add_signer(roles, name, keys, terms=terms)

        return edit

    def _compared(self, gun: GUN, roles: OwnerRoles) -> Comparison:
        """Compare a collection with the template. Raises: CollectionExists if it differs, KeysError."""
        session, template = self._session, self._template
        different: list[str] = []
        recovery = None
        place = template.recovery.place if template.recovery else None
        if isinstance(place, Path) and not place.exists():
            different.append(f"{place} does not exist")
        elif place is not None:
            recovery = recovery_public(session, place, session.passphrases)
        wire = session.collection(gun).wire
        if wire.name != template.wire.name:
            different.append(f"its format is {wire.name}, not {template.wire.name}")
        root_keys = [session.keystore.get(reference).public for reference in template.root_keys]
        found = compare(template, roles, recovery=recovery, root_keys=root_keys)
        different += found.different
        if found.missing and not (found.begun and not found.different):
            different.append(f"it has no signer {', '.join(found.missing)}")
        if different:
            reason = f"{gun} is there and differs: {'; '.join(shown(one, 200) for one in different)}; it is left alone"
            raise CollectionExists(role=ROOT, reason=reason)
        return found
