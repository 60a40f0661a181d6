"""Bulk runs: one change in many collections, planned for all together, and carried out so that kill -9 loses nothing.

    work        what is done in one collection: `plan` (reads, sends nothing) and `carry_out` (publishes)
    confirmed   what a plan does, apart from versions and dates: what was shown must be what is sent
    journal     which works have ended, and which new keys the others were about to put in place; durable
    runner      the works one after the other, or several at a time; one that fails keeps nobody from the others
    report      a row for each collection, as JSON and CSV

A command that changes many collections writes one `Work` and hands it to `commands/support/bulk.py`:

    class Removal:                                        # a Work
        def plan(self, planning, gun): ...                # Sequence[Plan], by Planning.plan with the very edit
        def carry_out(self, session, gun, step): ...      # session.publisher(...).publish(edit, step.checked(check))
    BulkCommand(session, guns, what="signer remove", terms={"signer": "alice"}).carry_out(work)

The rules that a work keeps:

- Its edit says what shall be so, and gives no content where it is so already: run again, it goes on. Where the goal is
  "another key than now", it first asks `step.begun` which key an interrupted run was about to put in place, and
  `step.begin(...)` writes that down, durably, before anything is sent. A key is stored durably before it is written
  down, and written down before a publish names it. One key for all collections: `step.shared(slot)`, `step.share(...)`.
- The journal says nothing about trust, has no secret and no place of a key: fingerprints only. Whether something was
  done, a publish whose answer was lost among it, is read in what the server has and what verifies.
- It publishes with `step.checked(check)`: what differs from the plan that was made for all is not sent (PlanChanged).
- `carry_out` may run in several threads at once, each with a session of its own; the key store is shared.
"""
