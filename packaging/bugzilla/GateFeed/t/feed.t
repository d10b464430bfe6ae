# The numbered feed: in the transaction of the change, without gaps, for the members of one group.

use 5.14.0;
use strict;
use warnings;
use lib do { require File::Basename; File::Basename::dirname(__FILE__) . '/lib' };

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use GateFeedTest;

sub rows { return [map { [@$_{qw(seq bug why)}] } @{ask('feed', since => $_[0] // 0)->{events}}] }

Bugzilla->start;
{
  my $bug = Bugzilla::Bug->create(1);
  $bug = $bug->change(keywords => ['sec-high'], bug_group => ['core-security']);
  $bug->change(short_desc => 'nothing that matters');
  my $patch = Bugzilla::Attachment->create(id => 1, bug => 1, mimetype => 'text/plain', ispatch => 1, flags => [['sec-approval', '?']]);
  $patch->set_flags([['sec-approval', '?']]);
  $patch->set_flags([['sec-approval', '+']]);
  $patch->change(mimetype => 'text/plain');
  $patch->change(isobsolete => 1);
  is_deeply(rows(), [
    [1, 1, 'create'], [2, 1, 'bug:bug_group keywords'], [3, 1, 'attach'], [4, 1, 'flag'], [5, 1, 'flag'], [6, 1, 'attach'],
  ], 'each change that matters makes one row, and others none');
  my $answer = ask('feed', since => 4);
  is_deeply([$answer->{head}, $answer->{floor}, scalar @{$answer->{events}}], [6, 1, 2], 'since N tells what came after it');
  like($answer->{events}->[0]->{at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'an event says when it was');
  is_deeply($answer->{state}->{1}, {
    status => 'CONFIRMED', resolution => '', keywords => ['sec-high'], groups => ['core-security'],
    status_flags => {cf_status_beta => '---', cf_tracking_beta => '---'},
    patches => [{id => 1, obsolete => JSON::PP::true, patch => JSON::PP::true, ctype => 'text/plain', flags => {'sec-approval' => '+'}}],
  }, 'the state is the whole bug as it is now');
  is(scalar @{ask('feed', since => 0, limit => 2)->{events}}, 2, 'limit bounds a page');
}

Bugzilla->start;
{
  my $bug = Bugzilla::Bug->create(1);
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  Bugzilla::Extension::GateFeed::Feed::ring(1, 'bug:keywords');
  $dbh->bz_rollback_transaction();
  is_deeply(rows(), [[1, 1, 'create']], 'a change that is undone leaves no row');
  $bug->change(keywords => ['sec-high']);
  is_deeply(rows(1), [[2, 1, 'bug:keywords']], 'and no gap');
  Bugzilla->dbh->do('DELETE FROM bugs');
  is_deeply(ask('feed')->{state}->{1}, {gone => JSON::PP::true}, 'a bug that is gone says so');
}

Bugzilla->start;
{
  foreach my $class (qw(Bugzilla::Keyword Bugzilla::FlagType Bugzilla::Group)) {
    my $object = bless {name => 'x'}, $class;
    Bugzilla::Hook::process('object_end_of_update', {object => $object, changes => {name => ['sec-high', 'x']}});
    Bugzilla::Hook::process('object_end_of_update', {object => $object, changes => {}});
    Bugzilla::Hook::process('object_before_delete', {object => $object});
  }
  is_deeply(rows(), [
    [1, 0, 'resync:Bugzilla::Keyword'],  [2, 0, 'resync:delete Bugzilla::Keyword'],
    [3, 0, 'resync:Bugzilla::FlagType'], [4, 0, 'resync:delete Bugzilla::FlagType'],
    [5, 0, 'resync:Bugzilla::Group'],    [6, 0, 'resync:delete Bugzilla::Group'],
  ], 'a keyword, flag type or group that is renamed or removed concerns every bug, which is bug 0');
  is_deeply(ask('feed')->{state}, {}, 'bug 0 has no state');
}

Bugzilla->start;
{
  my $epoch = ask('feed')->{epoch};
  Bugzilla::Hook::process('install_update_db', {});
  is(ask('feed')->{epoch}, $epoch, 'setting up again keeps the epoch');
  Bugzilla->start;
  isnt(ask('feed')->{epoch}, $epoch, 'another database has another one');
}

Bugzilla->start;
{
  Bugzilla::Bug->create(1);
  $Bugzilla::user = Bugzilla::User->new(name => 'dev', groups => ['editbugs']);
  foreach my $method (qw(feed snapshot)) {
    is_deeply(refusal(sub { ask($method) }),
      {kind => 'user', error => 'auth_failure', group => 'gate-feed', action => 'access', object => 'administrative_pages'},
      "$method is for members of the group alone");
  }
  $Bugzilla::params{gatefeed_group} = 'editbugs';
  is(ask('feed')->{head}, 1, 'which group that is, is a parameter');
  foreach my $bad ('-1', 'x', '1 OR 1', '99999999999', '') {
    is(refusal(sub { ask('feed', since => $bad) })->{error}, 'param_invalid', "since=$bad is refused");
  }
  foreach my $bad (0, 501) {
    is(refusal(sub { ask('feed', limit => $bad) })->{error}, 'param_invalid', "limit=$bad is refused");
  }
}

Bugzilla->start;
{
  Bugzilla::Bug->create($_)->change(keywords => [$_ % 2 ? 'sec-critical' : 'crash'], bug_group => $_ == 4 ? ['core-security'] : []) foreach 1 .. 6;
  my $answer = ask('snapshot', limit => 2);
  is_deeply([sort keys %{$answer->{state}}], [1, 3], 'a snapshot lists bugs with sensitive keywords');
  is_deeply([@$answer{qw(head next)}], [12, 3], 'it says from which head, and where to go on');
  $answer = ask('snapshot', limit => 2, after => 3);
  is_deeply([[sort keys %{$answer->{state}}], $answer->{next}], [[5], 0], 'the last page says so');
  is_deeply([sort keys %{ask('snapshot', private => 1)->{state}}], [1, 3, 4, 5], 'private bugs, if they are wanted');
  is_deeply([sort keys %{ask('snapshot', keywords => 'crash,x')->{state}}], [2, 4, 6], 'other keywords, if they are named');
  is_deeply(ask('snapshot', keywords => '')->{state}, {}, 'none at all');
  is_deeply(ask('snapshot', keywords => q{') OR 1=1 --})->{state}, {}, 'a keyword is data');
}

Bugzilla->start;
{
  Bugzilla->dbh->do('UPDATE gatefeed_seq SET n = 200998');
  Bugzilla->dbh->do(q{INSERT INTO gatefeed VALUES (998, 1, 'old', ''), (1001, 1, 'kept', '')});
  Bugzilla::Extension::GateFeed::Feed::ring(1, 'x');
  is(ask('feed')->{floor}, 998, 'old events are looked for now and then');
  Bugzilla::Extension::GateFeed::Feed::ring(1, 'y' x 100);
  my $answer = ask('feed', since => 200_999);
  is($answer->{floor}, 1001, 'those beyond the last 200,000 are purged, and the floor says so');
  is(length $answer->{events}->[0]->{why}, 64, 'a long reason is cut');
}

{
  my $path = tempdir(CLEANUP => 1) . '/db';
  Bugzilla->start($path);
  Bugzilla::Bug->create($_) foreach 1 .. 4;
  Bugzilla->dbh->disconnect;
  my @children;
  foreach my $writer (1 .. 4) {
    my $child = fork // die;
    if (!$child) {
      $Bugzilla::dbh = Bugzilla::DB->open($path);
      foreach my $n (1 .. 10) {
        my $bug = Bugzilla::Bug->new($writer);
        if ($n % 3 == 0) {
          eval { Bugzilla->dbh->bz_start_transaction(); Bugzilla::Extension::GateFeed::Feed::ring($writer, 'undone'); Bugzilla::Error::ThrowUserError('x') };
        }
        $bug->change(keywords => ["k$n"]);
      }
      POSIX::_exit(0);
    }
    push @children, $child;
  }
  waitpid $_, 0 foreach @children;
  $Bugzilla::dbh = Bugzilla::DB->open($path);
  my $events = ask('feed')->{events};
  is_deeply([map { $_->{seq} } @$events], [1 .. 44], 'four writers at once make no gap and no duplicate');
  is(scalar(grep { $_->{why} eq 'undone' } @$events), 0, 'what was undone is not told');
}

done_testing();
