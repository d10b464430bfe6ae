# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed::State;

# The whole state of a bug that selectors may look at, read anew from the database: never a difference.

use 5.14.0;
use strict;
use warnings;

use Bugzilla;
use Bugzilla::Bug;

# Returns a hash of plain values (truth as 1 and 0), or undef if there is no such bug.
sub of {
  my ($bug_id) = @_;
  my $bug = Bugzilla::Bug->new($bug_id);
  return undef if !$bug || $bug->{error};
  my @custom = grep {/^cf_(?:status|tracking)_/} map { $_->name } Bugzilla->active_custom_fields;
  return {
    status       => $bug->bug_status,
    resolution   => $bug->resolution,
    keywords     => [sort map { $_->name } @{$bug->keyword_objects}],
    groups       => [sort map { $_->name } @{$bug->groups_in}],
    status_flags => {map { $_ => $bug->$_ } grep { defined $bug->$_ && !ref $bug->$_ } @custom},
    patches      => [map { _patch($_) } @{$bug->attachments}],
  };
}

# The statuses of a flag that is given several times are all told: who reads them decides.
sub _patch {
  my ($attachment) = @_;
  my %given;
  push @{$given{$_->type->name}}, $_->status foreach @{$attachment->flags};
  return {
    id       => $attachment->id,
    obsolete => $attachment->isobsolete ? 1 : 0,
    patch    => $attachment->ispatch    ? 1 : 0,
    ctype    => $attachment->contenttype,
    flags    => {map { $_ => @{$given{$_}} == 1 ? $given{$_}->[0] : [sort @{$given{$_}}] } keys %given},
  };
}

1;
