# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed::Approval;

# What is sensitive and what approves it, by the parameters of the installation. Decides on states, reads nothing.

use 5.14.0;
use strict;
use warnings;

use Bugzilla;

# A link to a review request stands for its diff.
my $REQUEST = qr{^text/x-[a-z0-9.-]+-request$};

sub flag { return Bugzilla->params->{gatefeed_approval_flag} || 'sec-approval' }

# The keywords that make a bug sensitive.
sub keywords { return _words('gatefeed_keywords', 'sec-high, sec-critical') }

sub _words {
  my ($name, $default) = @_;
  return grep {length} split /[\s,]+/, Bugzilla->params->{$name} || $default;
}

# Returns the sensitive keywords that a bug has.
sub sensitive_keywords {
  my ($state) = @_;
  my %wanted = map { $_ => 1 } keywords();
  return grep { $wanted{$_} } @{$state->{keywords}};
}

# True while the bug is sensitive and no live patch of it has the approval. A refusal among several flags of the name wins.
sub is_missing {
  my ($state) = @_;
  return 0 unless sensitive_keywords($state);
  return !_has($state, '+');
}

# True if the approval was asked for on a live patch.
sub is_asked {
  my ($state) = @_;
  return _has($state, '?');
}

sub _has {
  my ($state, $status) = @_;
  foreach my $patch (@{$state->{patches}}) {
    next if $patch->{obsolete} || !($patch->{patch} || $patch->{ctype} =~ $REQUEST);
    my $given = $patch->{flags}->{flag()} // next;
    my %given = map { $_ => 1 } ref $given ? @$given : $given;
    my ($strongest) = grep { $given{$_} } qw(- ? +);
    return 1 if ($strongest // '') eq $status;
  }
  return 0;
}

# True for the name of a flag that approves an uplift. Patterns may hold *.
sub is_uplift {
  my ($name) = @_;
  foreach my $pattern (_words('gatefeed_uplift_flags', 'approval-*')) {
    my $test = join '.*', map {quotemeta} split /\*/, $pattern, -1;
    return 1 if $name =~ /^$test$/;
  }
  return 0;
}

# Returns the names of flags that are granted after a change and were not before. Bugzilla sums flags up as
# `setter:name+` and `setter:name?(requestee)`.
sub granted {
  my ($before, $after) = @_;
  my %held;
  $held{$_}++ foreach @$before;
  my @new = grep { !$held{$_} || !$held{$_}-- } @$after;
  my %names;
  foreach my $summary (@new) {
    my ($name) = $summary =~ /^(?:[^:]*:)?(.+)\+(?:\(.*\))?$/ or next;
    $names{$name} = 1;
  }
  return sort keys %names;
}

1;
