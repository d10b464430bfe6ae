# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed::Feed;

# The numbered events. The counter is a row and not a sequence of the database: its lock is held until the change commits,
# so the numbers have no gaps and their order is the order of the commits.

use 5.14.0;
use strict;
use warnings;

use Bugzilla;

use POSIX qw(strftime);

use constant MAX_WHY  => 64;
use constant MAX_PAGE => 500;

# How many events are kept, and how often old ones are looked for.
use constant KEPT        => 200_000;
use constant PURGE_EVERY => 1_000;

sub schema {
  return (
    gatefeed_seq => {
      FIELDS => [
        id    => {TYPE => 'INT2',        NOTNULL => 1, PRIMARYKEY => 1},
        n     => {TYPE => 'INT4',        NOTNULL => 1},
        epoch => {TYPE => 'varchar(32)', NOTNULL => 1},
      ]
    },
    gatefeed => {
      FIELDS => [
        seq    => {TYPE => 'INT4',        NOTNULL => 1, PRIMARYKEY => 1},
        bug_id => {TYPE => 'INT3',        NOTNULL => 1},
        why    => {TYPE => 'varchar(64)', NOTNULL => 1},
        at     => {TYPE => 'varchar(32)', NOTNULL => 1},
      ]
    },
  );
}

# Makes the counter, once. Its epoch tells this installation's numbers from those of another one.
sub begin {
  my $dbh = Bugzilla->dbh;
  return if $dbh->selectrow_array('SELECT 1 FROM gatefeed_seq');
  my $epoch = sprintf '%x%06x%06x', time, rand 0x1000000, rand 0x1000000;
  $dbh->do('INSERT INTO gatefeed_seq (id, n, epoch) VALUES (1, 0, ?)', undef, $epoch);
}

# Adds an event of a bug, or of bug 0, which stands for every bug. It is there if the change is there.
sub ring {
  my ($bug_id, $why) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  $dbh->do('UPDATE gatefeed_seq SET n = n + 1 WHERE id = 1');
  my ($seq) = $dbh->selectrow_array('SELECT n FROM gatefeed_seq WHERE id = 1');
  $dbh->do('INSERT INTO gatefeed (seq, bug_id, why, at) VALUES (?, ?, ?, ?)',
    undef, $seq, $bug_id, substr($why, 0, MAX_WHY), strftime('%Y-%m-%dT%H:%M:%SZ', gmtime));
  $dbh->do('DELETE FROM gatefeed WHERE seq <= ?', undef, $seq - KEPT) if $seq % PURGE_EVERY == 0;
  $dbh->bz_commit_transaction();
  return $seq;
}

# Returns epoch, newest number, and oldest number that is still there (0: there was no event yet).
sub standing {
  my $dbh = Bugzilla->dbh;
  my ($head, $epoch) = $dbh->selectrow_array('SELECT n, epoch FROM gatefeed_seq WHERE id = 1');
  my ($floor) = $dbh->selectrow_array('SELECT COALESCE(MIN(seq), 0) FROM gatefeed');
  return ($epoch, $head, $floor);
}

# Returns the oldest events after a number, in their order.
sub after {
  my ($since, $limit) = @_;
  my $dbh = Bugzilla->dbh;
  return $dbh->selectall_arrayref(
    'SELECT seq, bug_id, why, at FROM gatefeed WHERE seq > ? ORDER BY seq ' . $dbh->sql_limit($limit),
    {Slice => {}}, $since);
}

# Returns the next bugs after a number that have one of the keywords or, if wanted, that not everybody may see.
sub listed {
  my ($after, $keywords, $private, $limit) = @_;
  my $dbh = Bugzilla->dbh;
  my @tests;
  push @tests,
      'EXISTS (SELECT 1 FROM keywords INNER JOIN keyworddefs ON keyworddefs.id = keywords.keywordid'
    . ' WHERE keywords.bug_id = bugs.bug_id AND keyworddefs.name IN ('
    . join(', ', ('?') x @$keywords) . '))'
    if @$keywords;
  push @tests, 'EXISTS (SELECT 1 FROM bug_group_map WHERE bug_group_map.bug_id = bugs.bug_id)' if $private;
  return [] unless @tests;
  return $dbh->selectcol_arrayref(
    'SELECT bug_id FROM bugs WHERE bug_id > ? AND (' . join(' OR ', @tests) . ') ORDER BY bug_id '
      . $dbh->sql_limit($limit),
    undef, $after, @$keywords);
}

1;
