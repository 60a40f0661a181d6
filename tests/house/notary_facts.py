"""What Notary v1's programs do and expect, in our words, and the tests that show that we do so too.

Each row begins with the number of its section: 1 routes, 2 transport and headers, 3 errors, 4 upload, 5 server-held
roles and keys, 6 deletion, 7 change feed, 8 authorisation, 9 metadata, 10 canonical JSON, 11 keys and signatures,
12 private key files, 13 strictness, 14 limits, 15 what the clients do, 16 docker trust inspect, 17 surprises of the
clients. Each test is FILE::NAME, the file below tests/ and without its suffix.
"""

from __future__ import annotations

from typing import Final

ROUTES: Final = "unit/server/test_notary_routes"
UPLOAD: Final = "unit/server/test_notary_upload"
KEYS: Final = "unit/server/test_notary_keys"
ONLINE: Final = "unit/server/test_notary_online"
ERRORS: Final = "unit/server/test_notary_errors"
AUTH: Final = "unit/server/test_token_auth"
HTTP: Final = "peers/test_notary_http"
UPLOADS: Final = "peers/test_notary_uploads"
CLIENT: Final = "peers/test_notary_client"
DELEGATIONS: Final = "peers/test_notary_delegations"
ROTATION: Final = "peers/test_notary_rotation"
FAULTS: Final = "peers/test_notary_faults"
DOCKER: Final = "peers/test_docker_trust"
REQUESTS: Final = "peers/test_docker_requests"
ENGINE: Final = "peers/test_docker_engine_trust"
OURS: Final = "peers/test_trust_on_notary"
WIRE: Final = "unit/trustdata/test_notary_wire"
EDITOR: Final = "unit/trustdata/test_notary_editor"
RULES: Final = "attacks/test_notary_uploads"
READS: Final = "attacks/test_notary_reads"
SIGNER: Final = "unit/keys/test_notary_signer"
CERTIFICATE: Final = "unit/keys/test_certificate"
FILES: Final = "unit/keys/test_notary_files"
VECTORS: Final = "vectors/test_notary_v1"
GOLDEN: Final = "golden/test_notary_v1_files"
INSPECT: Final = "journeys/test_inspect_like_docker"
REMOTE: Final = "unit/cli_net/test_notary_remote"
CATALOGUE: Final = "attacks/test_collections::test_a_newcomer_with_a_pin_resists"
DOCUMENTS: Final = "attacks/test_documents::test_a_client_refuses_and_lives_on"

FACTS: Final[tuple[tuple[int, str, tuple[str, ...]], ...]] = (
    # --- routes
    (
        1,
        "names are greedy: colons, slashes, ports",
        (f"{ROUTES}::test_a_name_with_colons_slashes_and_odd_characters_is_read_under_the_path_that_the_clients_send",),
    ),
    (1, "GET /v2/ and health say {}", (f"{ROUTES}::test_ping_and_health_answer_an_empty_object", f"{HTTP}::test_ping")),
    (1, "current, by version, by hash", (f"{HTTP}::test_by_name_by_version_and_by_hash",)),
    (1, "only lower-case SHA-256 finds a file", (f"{HTTP}::test_only_lower_case_sha256_finds_a_file",)),
    (1, "version 0 is not there", (f"{HTTP}::test_version_zero",)),
    (1, "a hash is of its own role", (f"{HTTP}::test_a_hash_is_of_one_role",)),
    (
        1,
        "anything else: 404 as JSON, and nobody is redirected",
        (f"{ROUTES}::test_anything_else_is_nowhere_and_never_redirected", f"{HTTP}::test_no_such_route"),
    ),
    (1, "an escaped name is decoded", (f"{HTTP}::test_a_gun_may_be_escaped",)),
    # --- transport
    (2, "one connection for each request", (f"{REQUESTS}::test_each_request_has_a_connection_of_its_own",)),
    (2, "cache headers, Last-Modified", (f"{ROUTES}::test_headers_of_current_and_of_consistent_files",)),
    (2, "Last-Modified ends in UTC", (f"{ROUTES}::test_last_modified_has_the_name_of_the_zone",)),
    (
        2,
        "no 304, no gzip",
        (f"{ROUTES}::test_conditions_and_gzip_are_ignored", f"{HTTP}::test_if_modified_since_is_ignored"),
    ),
    (2, "docker verifies names off this machine", (f"{DOCKER}::test_a_name_off_this_machine_is_verified",)),
    # --- errors
    (3, "one error with its row", (f"{ERRORS}::test_every_refusal_has_its_row",)),
    (
        3,
        "detail is absent or {}",
        (f"{ROUTES}::test_no_route_has_no_detail_and_what_is_absent_has_an_empty_one",),
    ),
    (
        3,
        "INVALID_UPDATE carries what the client prints",
        (
            f"{ERRORS}::test_an_update_that_is_refused_names_what_the_client_prints",
            f"{FAULTS}::test_what_a_client_makes_of_a_refusal",
        ),
    ),
    (
        3,
        "at most 1024 bytes",
        (
            f"{ERRORS}::test_a_message_is_cut_to_what_fits_however_it_is_escaped",
            f"{FAULTS}::test_a_message_that_is_too_long",
        ),
    ),
    (
        3,
        "INVALID_GUN for uploads only",
        (f"{ROUTES}::test_an_upload_to_a_name_that_cannot_be_one_is_an_invalid_gun",),
    ),
    (3, "what our client makes of each", (f"{REMOTE}::test_what_a_refusal_means",)),
    # --- upload
    (4, "order of parts, field name, .json", (f"{UPLOADS}::test_the_order_of_the_parts_is_free",)),
    (4, ".json is stripped", (f"{UPLOADS}::test_json_is_stripped_from_the_filename",)),
    (4, "a timestamp is ignored", (f"{UPLOADS}::test_a_timestamp_is_ignored",)),
    (4, "one role twice is VERSION", (f"{UPLOAD}::test_the_same_role_twice_gives_version",)),
    (
        4,
        "an empty upload renews",
        (
            f"{UPLOAD}::test_an_empty_upload_of_an_existing_repository_gives_a_new_snapshot_and_timestamp",
            f"{UPLOADS}::test_an_upload_of_nothing",
            f"{RULES}::test_an_empty_upload_asks_for_a_new_snapshot",
        ),
    ),
    (4, "and is refused where there is nothing", (f"{UPLOADS}::test_nothing_on_nothing",)),
    (
        4,
        "roots go step by step, by both thresholds",
        (
            f"{UPLOADS}::test_roots_go_step_by_step",
            "attacks/test_uploads::test_a_skipped_root_and_one_by_new_keys_only",
        ),
    ),
    (
        4,
        "root's certificate: name, prefix, validity",
        (
            f"{RULES}::test_a_root_certificate_for_the_collection",
            f"{RULES}::test_a_root_certificate_for_another",
            f"{RULES}::test_a_root_certificate_is_valid_when_it_is_uploaded",
            f"{UPLOADS}::test_a_wildcard_certificate",
        ),
    ),
    (4, "a role is delegated by its new parent", (f"{UPLOADS}::test_a_role_that_nobody_delegated",)),
    (
        4,
        "an owner's snapshot fits what is uploaded",
        (f"{RULES}::test_it_lists_what_is_there", f"{UPLOADS}::test_a_snapshot_of_other_files"),
    ),
    (
        4,
        "without it the server needs the key",
        (
            f"{UPLOADS}::test_nobody_makes_the_snapshot",
            f"{ONLINE}::test_an_upload_without_the_owners_snapshot_lacks_it",
        ),
    ),
    (
        4,
        "versions at or below the stored one: VERSION, and nothing is stored",
        (f"{UPLOAD}::test_any_version_that_is_not_above_the_stored_one_is_version_and_nothing_is_stored",),
    ),
    (4, "of two racing publishers one wins", (f"{UPLOADS}::test_racing_publishers",)),
    (
        4,
        "bytes are returned as they came",
        (f"{UPLOAD}::test_bytes_are_stored_and_served_as_they_came_however_they_are_written",),
    ),
    # --- server-held roles
    (
        5,
        "a snapshot is the one before plus what was uploaded, with both hashes, and root",
        (
            f"{UPLOADS}::test_what_a_snapshot_lists",
            f"{EDITOR}::test_entries_have_both_hashes_and_no_version_and_root_is_listed",
        ),
    ),
    (5, "removed delegations stay listed", (f"{EDITOR}::test_a_snapshot_keeps_the_entry_of_a_removed_role",)),
    (
        5,
        "the snapshot that is read is the one that the timestamp names",
        (f"{ONLINE}::test_a_round_renews_both_and_the_snapshot_read_is_the_one_that_the_timestamp_names",),
    ),
    (5, "key JSON, members in order", (f"{HTTP}::test_the_form_of_a_key",)),
    (
        5,
        "any key handed out serves the first publish",
        (f"{HTTP}::test_any_key_handed_out_is_good_for_the_first_publish",),
    ),
    (
        5,
        "a new key is pending until a root names it",
        (f"{ROTATION}::test_the_server_s_new_key_is_pending_until_a_root_names_it",),
    ),
    (5, "lifetimes that no client warns of", (f"{ONLINE}::test_online_roles_live_as_long_as_the_clients_expect",)),
    (5, "server keys are ECDSA", (f"{CLIENT}::test_the_server_s_key_is_ecdsa",)),
    # --- deletion, feed, authorisation
    (6, "deletion leaves nothing", (f"{HTTP}::test_deletion", f"{CLIENT}::test_delete_and_begin_anew")),
    (6, "and no other name is touched", (f"{CLIENT}::test_a_name_that_begins_another",)),
    (7, "one record for each timestamp", (f"{HTTP}::test_one_record_for_each_timestamp",)),
    (7, "parameters", (f"{HTTP}::test_invalid_parameters", f"{KEYS}::test_records_and_change_id")),
    (7, "an empty feed may be null", (f"{REMOTE}::test_the_feed_is_read_to_its_end",)),
    (8, "actions of each route", (f"{AUTH}::test_what_each_route_needs",)),
    (
        8,
        "ping and catalogue",
        (f"{AUTH}::test_the_catalogue", f"{ERRORS}::test_any_token_is_good_for_the_ping_and_not_for_the_feed_of_all"),
    ),
    (8, "challenges name the scope", (f"{ERRORS}::test_what_each_route_needs_is_challenged_and_listed",)),
    # --- metadata
    (
        9,
        "files are read, and written again byte for byte",
        (f"{GOLDEN}::test_every_file_is_written_again_to_its_bytes",),
    ),
    (9, "Go's escapes are not what was signed", (f"{WIRE}::test_go_s_html_escapes_are_not_what_was_signed",)),
    (9, "all four roles of a root", (f"{WIRE}::test_refused_with_its_place",)),
    (
        9,
        "expiries of any zone, to the nanosecond",
        (f"{WIRE}::test_times_of_any_zone_are_compared_as_instants_and_kept_as_written",),
    ),
    (9, "lifetimes", (f"{EDITOR}::test_lifetimes_are_the_clients", f"{CLIENT}::test_lifetimes")),
    (
        9,
        "any first version",
        (f"{UPLOADS}::test_a_first_version_may_be_any", f"{RULES}::test_the_first_targets_may_have_any_version"),
    ),
    (
        9,
        "docker signs SHA-256 and the manifest's size",
        (f"{ENGINE}::test_docker_signs_sha256_and_the_manifest_s_size",),
    ),
    (9, "paths are prefixes", (f"{GOLDEN}::test_paths_are_prefixes", f"{DELEGATIONS}::test_paths_are_prefixes")),
    (9, "names of delegations", (f"{DELEGATIONS}::test_no_names_of_roles", f"{DELEGATIONS}::test_odd_names_of_roles")),
    (9, "delegations nest", (f"{RULES}::test_delegations_nest", f"{DELEGATIONS}::test_a_delegate_delegates")),
    (9, "no delegations, in four spellings", (f"{WIRE}::test_no_delegations_may_be_written_in_four_ways",)),
    (
        9,
        "former root certificates stay, other replaced keys go",
        (f"{EDITOR}::test_former_root_certificates_stay_and_other_replaced_keys_go",),
    ),
    (9, "a root is written in canonical order", (f"{OURS}::test_notary_reads_what_we_made",)),
    (9, "a root with two certificates", (f"{ROTATION}::test_a_root_with_two_keys_is_read",)),
    (9, "rotation by the second one", (f"{ROTATION}::test_rotation_by_either",)),
    (9, "a snapshot that lists another root", (CATALOGUE,)),
    # --- canonical JSON, keys, key files
    (10, "canonical form, or refused", (f"{VECTORS}::test_canonical_form_is_go_s_or_the_input_is_refused",)),
    (11, "key ids", (f"{VECTORS}::test_key_id_and_document",)),
    (11, "root certificates as Go makes them", (f"{CERTIFICATE}::test_ours_is_what_the_go_clients_make",)),
    (
        11,
        "canonical key ids",
        (
            f"{SIGNER}::test_under_a_certificate_the_id_is_another_and_the_key_the_same",
            f"{EDITOR}::test_a_signer_s_key_is_shown_by_the_bare_key_s_id_and_root_by_its_own",
        ),
    ),
    (
        11,
        "one key counts once, however it is written",
        (
            f"{VECTORS}::test_one_key_has_one_mark_however_it_is_written",
            f"{UPLOAD}::test_one_public_key_in_two_certificates_counts_once",
            f"{RULES}::test_one_key_bare_and_in_a_certificate_is_one",
        ),
    ),
    (11, "ECDSA: as wide as the curve", (f"{VECTORS}::test_an_ecdsa_signature_has_the_width_of_its_curve",)),
    (11, "and however small r and s are", (f"{SIGNER}::test_small_numbers_are_filled_up",)),
    (
        11,
        "RSA: PSS with a salt of 32 bytes, PKCS #1 accepted",
        (
            f"{VECTORS}::test_an_rsa_signature_has_a_salt_of_32_bytes",
            f"{SIGNER}::test_rsa_verifies_by_pkcs1_too_and_no_method_stands_for_another",
        ),
    ),
    (11, "method and key type must fit", (f"{SIGNER}::test_no_method_but_the_key_s_own",)),
    (12, "key files of both programs", (f"{FILES}::test_every_kind_opens_and_is_the_key_of_its_id",)),
    (
        12,
        "and ours for them",
        (f"{FILES}::test_what_is_written_for_them_opens", f"{OURS}::test_our_keys_go_to_notary_and_docker"),
    ),
    # --- strictness and limits
    (
        13,
        "custom that Go cannot sign again",
        (
            f"{UPLOADS}::test_custom_data_that_go_cannot_sign_again",
            f"{WIRE}::test_custom_must_stand_as_go_would_write_it",
        ),
    ),
    (
        13,
        "targets: null",
        (
            f"{UPLOADS}::test_targets_null_is_refused",
            f"{WIRE}::test_targets_that_are_null_end_go_s_client_so_they_are_refused",
        ),
    ),
    (13, "what two parsers read differently", (DOCUMENTS, f"{UPLOAD}::test_duplicate_members_are_refused")),
    (13, "members that differ in case", (f"{UPLOADS}::test_members_in_another_case",)),
    (
        13,
        "unknown members are kept",
        (f"{UPLOADS}::test_unknown_members_are_kept", f"{WIRE}::test_unknown_members_are_accepted_and_written_again"),
    ),
    (13, "bytes after the JSON", (f"{UPLOADS}::test_trailing_bytes",)),
    (14, "sizes of files", (f"{WIRE}::test_the_limits_are_this_format_s", f"{WIRE}::test_how_large_a_file_may_be")),
    (14, "no more than was announced", (f"{FAULTS}::test_more_than_was_announced", CATALOGUE)),
    (14, "RSA of 2048 bits", ("attacks/test_uploads::test_keys_that_are_not_there_or_not_accepted",)),
    # --- clients
    (
        15,
        "the first publish asks for",
        (f"{REQUESTS}::test_the_first_publish", f"{FAULTS}::test_what_the_first_publish_asks"),
    ),
    (15, "a reader asks for", (f"{FAULTS}::test_what_a_reader_asks", f"{REQUESTS}::test_inspect")),
    (15, "after a rotation", (f"{FAULTS}::test_what_a_reader_asks_after_a_rotation",)),
    (15, "a dead server and a warm cache", (f"{DOCKER}::test_a_warm_cache_still_answers",)),
    (15, "list and lookup", (f"{CLIENT}::test_list_and_lookup_print_the_digest",)),
    (15, "pinning in notary's configuration", (f"{ROTATION}::test_nothing_is_trusted_on_first_use",)),
    (16, "docker's own output, byte for byte", (f"{INSPECT}::test_as_docker_said_it",)),
    (
        16,
        "expired targets: the one state that we show otherwise",
        (f"{INSPECT}::test_expired_targets_are_listed_as_expired_and_never_trusted",),
    ),
    (16, "only what is released", (f"{DOCKER}::test_what_is_not_released_is_not_shown",)),
    (16, "releases before targets", (f"{OURS}::test_a_tag_that_both_roles_list_is_what_the_releases_say",)),
    (
        17,
        "a removal that does nothing; ours does",
        (f"{OURS}::test_removal_really_removes_and_leaves_the_releases_readable",),
    ),
    (
        17,
        "removal of who signed the releases last",
        (f"{DOCKER}::test_removal_of_who_signed_last", f"{EDITOR}::test_a_removed_signer_s_releases_are_signed_anew"),
    ),
    (17, "expired targets end the old clients", (f"{CLIENT}::test_expired_metadata_is_refused_by_the_client",)),
    (17, "notary init over what is there", (f"{CLIENT}::test_init_of_what_is_there_wrecks_only_the_own_copy",)),
    (17, "sign without a login", (f"{ENGINE}::test_sign_makes_a_collection_only_for_who_is_logged_in",)),
    (17, "a missing snapshot, by a notary-signer", (f"{REMOTE}::test_what_a_refusal_means",)),
    (
        17,
        "a push of what is signed needs no passphrase",
        (f"{ENGINE}::test_push_of_what_is_signed_already_needs_no_passphrase",),
    ),
    (17, "a push of all tags signs nothing", (f"{ENGINE}::test_push_of_all_tags_signs_nothing",)),
)
"""Section, what holds there, and where it is shown."""
